"""The optimizers of a population: per-member hyperparameters and state, one pass per step variant and step."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution.driver import measure_shared
from thalweg.execution.whole import no_matrix
from thalweg.population.program.gradients import whole
from thalweg.population.program.matmul_passes import Product
from thalweg.population.program.models import like
from thalweg.population.updates.group import Group, MembersStep
from thalweg.population.updates.hyperparameters import Groups, structures_of
from thalweg.population.updates.maskable import Maskable, maskable
from thalweg.population.updates.members import Member
from thalweg.population.updates.parts import Gradient, Mask, Scratch, addresses
from thalweg.population.updates.snapshot import Snapshot, joined
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.row_table import Array
from thalweg.recipes.trace import trace

NO_GROUPS: Groups = {}


class PopulationUpdates:
    """The updates of all members, grouped by consecutive equal step variants. Parameters are updated in place.

    groups: hyperparameters of single parameters. each: whether every parameter has its own step count.
    """

    def __init__(
        self,
        members: Sequence[Member],
        parameters: Mapping[str, Tensor],
        groups: Groups = NO_GROUPS,
        *,
        each: bool = False,
    ) -> None:
        self.groups: list[Group] = []
        self._parameters, self._scratch = dict(parameters), Scratch(parameters)
        structures, start = [structures_of(member, groups, parameters) for member in members], 0
        while start < len(members):
            stop = start
            while stop < len(members) and structures[stop] == structures[start]:
                stop += 1
            _require_matrices(members[start], structures[start], parameters)
            for structure in dict.fromkeys(structures[start]):
                own = {n: p for (n, p), s in zip(parameters.items(), structures[start], strict=True) if s == structure}
                place = slice(start, stop)
                self.groups.append(Group(structure, members[place], place, own, groups, self._scratch, each=each))
            start = stop

    def plan(self, first: int, steps: int, *, ahead: bool = False) -> None:
        """Prepares the row values of steps `first`, …, `first + steps - 1` (counted from 1).

        ahead: whether also those that depend on row states, which are those before step `first` then.
        """
        for group in self.groups:
            group.plan(first, steps, ahead=ahead)

    def advance(self, t: int) -> None:
        """Sets planned row states to those after step `t`, which other code has carried out."""
        for group in self.groups:
            group.advance(t)

    def step(self, t: int | Array, gradients: Mapping[str, Gradient], active: Mask, step: int | None = None) -> None:
        """Takes step `t` of the active members.

        With `each`: t `[parameters, 1]`, active `[parameters, members]`, and `step`, that of the run.
        """
        aligned, bases = self.aligned(gradients)
        for _, of in groupby(self.groups, lambda group: group.place.start):
            groups = [*of]
            if len(groups) == 1:
                groups[0].finish(groups[0].begin(t, aligned, bases, active[..., groups[0].place], step))
                continue
            jobs = [self._some(group, t, aligned, active[..., group.place], step) for group in groups]
            shared = any(job.program.shared for job in jobs)
            for group, job, known in zip(
                groups, jobs, measure_shared(jobs) if shared else [None] * len(jobs), strict=True
            ):
                group.finish(job, known)

    def _some(
        self, group: Group, t: int | Array, gradients: Mapping[str, Gradient], active: Mask, step: int | None
    ) -> MembersStep:
        """Begins step `t` of a group of some parameters."""
        index = [i for i, name in enumerate(self._parameters) if name in group.names]
        own = {name: gradients[name] for name in group.names}
        each_t = t[index] if isinstance(t, np.ndarray) else t
        bases = addresses([g for g in own.values() if isinstance(g, Tensor)])
        return group.begin(each_t, own, bases, active if active.ndim == 1 else active[index], step)

    @property
    def planned_ahead(self) -> bool:
        """Whether a step is passes of each group by itself, with planned row values."""
        apart = len({group.place.start for group in self.groups}) == len(self.groups)
        return all(group.planned_ahead and (apart or not group.program.shared) for group in self.groups)

    @property
    def capturable(self) -> bool:
        """Whether every group is capturable, stepping by device values, and has all parameters."""
        return all(group.rows.capturable and len(group.names) == len(self._parameters) for group in self.groups)

    def aligned(self, gradients: Mapping[str, Gradient]) -> tuple[dict[str, Gradient], NDArray[np.int64]]:
        """Gradients in the parameters' memory layout, and data pointers of those that are not deferred.

        All are materialized if a group needs whole gradients.
        """
        if any(group.needs_whole for group in self.groups):
            gradients = whole(gradients, self._parameters)
        aligned = {name: _aligned(gradients[name], p) for name, p in self._parameters.items()}
        return aligned, addresses([g for g in aligned.values() if isinstance(g, Tensor)])

    def weights(self) -> dict[str, Tensor]:
        """Weights to evaluate by, `[members, …]`: a member's parameters, or the average of them that it keeps."""
        averaging = [group for group in self.groups if group.structure.averages]
        if not averaging:
            return self._parameters
        out = {name: p.clone(memory_format=torch.preserve_format) for name, p in self._parameters.items()}
        for group in averaging:
            for name, average in group.evaluated().items():
                out[name][group.place] = average
        return out

    def maskable(self, member: int) -> dict[str, Maskable]:
        """The masked parameters of a member by name, in the order of all."""
        found = maskable(self.groups, member)
        return {name: found[name] for name in self._parameters if name in found}

    def state(self) -> Snapshot:
        """The states of all groups, and their row states."""
        return joined({str(i): group.state() for i, group in enumerate(self.groups)})

    def restore(self, state: Snapshot) -> None:
        """Continues from a `state` of the same members."""
        for i, group in enumerate(self.groups):
            group.restore(state.part(str(i)))

    def keep(self, index: NDArray[np.int64], parameters: Mapping[str, Tensor]) -> None:
        """Keeps only the members at `index`, in that order, with these `parameters`."""
        groups = self.groups
        self.groups, self._parameters = [], dict(parameters)
        for group in groups:
            inside = index[(index >= group.place.start) & (index < group.place.stop)] - group.place.start
            if len(inside):
                first = int((index < group.place.start).sum())
                self.groups.append(group.keep(inside, slice(first, first + len(inside)), parameters))


def _require_matrices(member: Member, structures: Sequence[StepVariant], parameters: Mapping[str, Tensor]) -> None:
    """Raises `InputError` where a rule of whole matrices is given what is none."""
    for (name, p), structure in zip(parameters.items(), structures, strict=True):
        if why := no_matrix(trace(structure), p.shape[1:], is_complex=p.is_complex()):
            flag = structure.rule.others
            hint = f"; give it {flag}=True in parameters=" if flag else ""
            raise InputError(f"{member.recipe.name} cannot step the parameter {name!r}: {why}{hint}.")


def _aligned(gradient: Gradient, parameter: Tensor) -> Gradient:
    """The gradient in the parameter's memory layout, `[m, …]`."""
    if isinstance(gradient, Product) or gradient.stride() == parameter.stride():
        return gradient
    return like(parameter, gradient)
