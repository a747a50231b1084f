"""The optimizers of a population: per-member hyperparameters and state, one pass a rule and step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.population.members import Member
from thalweg.population.models import like
from thalweg.recipes.compose import Structure
from thalweg.recipes.execution import compiled, stacked
from thalweg.recipes.rows import Array, table
from thalweg.recipes.trace import Program, trace

Mask = NDArray[np.bool_]


class Updates:
    """The updates of all members, which stand grouped by structure. Parameters are stepped in place."""

    def __init__(self, members: Sequence[Member], parameters: Mapping[str, Tensor]) -> None:
        self.groups: list[Group] = []
        self._parameters = dict(parameters)
        start = 0
        while start < len(members):
            structure = members[start].structure
            stop = start
            while stop < len(members) and members[stop].structure == structure:
                stop += 1
            self.groups.append(Group(structure, members[start:stop], slice(start, stop), parameters))
            start = stop

    def plan(self, first: int, steps: int) -> None:
        """Prepares the row values of steps `first`, …, `first + steps - 1` (counted from 1)."""
        for group in self.groups:
            group.plan(first, steps)

    def step(self, t: int, gradients: Mapping[str, Tensor], active: Mask) -> None:
        """Step `t` of every active member."""
        aligned = {name: _aligned(gradients[name], p) for name, p in self._parameters.items()}
        bases = np.array([g.data_ptr() for g in aligned.values()], np.int64)
        for group in self.groups:
            group.step(t, aligned, bases, active[group.place])

    def keep(self, index: NDArray[np.int64], parameters: Mapping[str, Tensor]) -> None:
        """Only the members at `index` stay, in that order; `parameters` are theirs."""
        position = 0
        groups = self.groups
        self.groups, self._parameters = [], dict(parameters)
        for group in groups:
            inside = index[(index >= group.place.start) & (index < group.place.stop)] - group.place.start
            if len(inside):
                place = slice(position, position + len(inside))
                self.groups.append(group.keep(inside, place, parameters))
                position = place.stop


class Group:
    """Members of one structure: their hyperparameters `[m]`, and state in the memory order of the parameters."""

    def __init__(
        self, structure: Structure, members: Sequence[Member], place: slice, parameters: Mapping[str, Tensor]
    ) -> None:
        self.structure, self.place = structure, place
        self.program: Program = trace(structure)
        self.values: dict[str, Array] = {
            name: np.array([float(m.values[name]) for m in members]) for name in self._scalars()
        }
        declared = {s.name: s for s in structure.states}
        for name in self.program.row_states:
            self.values[name] = np.full(len(members), float(declared[name].initial))
        self._parameters = {name: p[place] for name, p in parameters.items()}
        self.states = {
            name: {p_name: _filled(p, self._initial(declared[name].initial)) for p_name, p in self._parameters.items()}
            for name in self.program.states
        }
        self._executor = _executor(self.program, place, self._parameters, self.states)

    def plan(self, first: int, steps: int) -> None:
        self._first = first
        self._columns: Array | None = None
        if not self.program.row_states:  # then a step's row values do not depend on the step before
            t = np.arange(first, first + steps, dtype=np.float64)[:, None]
            self._columns = self._executor.cast(table(self.program, {**self._inputs(), "t": t})[0])

    def step(self, t: int, gradients: Mapping[str, Tensor], bases: NDArray[np.int64], active: Mask) -> None:
        """`gradients` are those of the whole stack, laid out as the parameters; `bases` their addresses."""
        if self._columns is not None:
            columns = self._columns[t - self._first]
        else:
            raw, after = table(self.program, {**self._inputs(), "t": float(t)})
            self.values.update(after)
            columns = self._executor.cast(raw)
        self._executor(gradients, bases, columns, active)

    def keep(self, inside: NDArray[np.int64], place: slice, parameters: Mapping[str, Tensor]) -> "Group":
        kept = object.__new__(Group)
        kept.structure, kept.program, kept.place = self.structure, self.program, place
        kept.values = {name: array[inside] for name, array in self.values.items()}
        kept._parameters = {name: p[place] for name, p in parameters.items()}
        index = torch.from_numpy(inside)
        kept.states = {
            name: {p_name: like(s, s[index.to(s.device)]) for p_name, s in of.items()}
            for name, of in self.states.items()
        }
        kept._executor = _executor(kept.program, place, kept._parameters, kept.states)
        return kept

    def _scalars(self) -> list[str]:
        """Hyperparameters that the program reads, and those that states start from."""
        starts = [s.initial for s in self.structure.rule.states if isinstance(s.initial, str)]
        return [*self.program.inputs, *starts]

    def _inputs(self) -> dict[str, Array]:
        return {name: self.values[name] for name in (*self.program.inputs, *self.program.row_states)}

    def _initial(self, declared: float | str) -> Array:
        return self.values[declared] if isinstance(declared, str) else np.full(1, declared)


def _filled(parameter: Tensor, start: Array) -> Tensor:
    """A tensor like the parameter `[m, …]`, in its memory layout, holding each member's start `[m]` or `[1]`."""
    values = torch.from_numpy(start).to(parameter).view(-1, *[1] * (parameter.ndim - 1))
    return like(parameter, values.expand_as(parameter))


def _executor(
    program: Program, place: slice, parameters: Mapping[str, Tensor], states: Mapping[str, Mapping[str, Tensor]]
) -> Any:
    same = len({p.dtype for p in parameters.values()}) == 1
    kind = _Compiled if same and all(compiled.accepts(p) for p in parameters.values()) else _Stacked
    return kind(program, place, parameters, states)


class _Compiled:
    """One kernel call for all parameters of all members of a group."""

    def __init__(
        self,
        program: Program,
        place: slice,
        parameters: Mapping[str, Tensor],
        states: Mapping[str, Mapping[str, Tensor]],
    ) -> None:
        first = next(iter(parameters.values()))
        members = len(first)
        lengths = np.array([p[0].numel() for p in parameters.values()], np.int64)
        stride = (lengths * first.element_size())[:, None]
        self._offsets = np.arange(members) * stride  # [parameters, members]
        self._in_stack = self._offsets + place.start * stride
        storage = (first.dtype,) * (2 + len(states))
        self._pass = compiled.Pass(program, storage, np.repeat(lengths, members), members)
        self._pass.which[:] = np.tile(np.arange(members), len(parameters))
        for i, tensors in enumerate([parameters, *states.values()], 1):
            self._pass.pointers[i] = self._addresses(list(tensors.values()))

    def cast(self, columns: Array) -> Array:
        return columns

    def __call__(self, gradients: Mapping[str, Tensor], bases: NDArray[np.int64], columns: Array, active: Mask) -> None:
        self._pass.pointers[0] = (bases[:, None] + self._in_stack).ravel()
        self._pass.active[:] = active
        self._pass(columns)

    def _addresses(self, tensors: Sequence[Tensor]) -> NDArray[np.int64]:
        bases = np.array([t.data_ptr() for t in tensors], np.int64)
        return (bases[:, None] + self._offsets).ravel()


class _Stacked:
    """The same in torch's operators, for other devices and dtypes."""

    def __init__(
        self,
        program: Program,
        place: slice,
        parameters: Mapping[str, Tensor],
        states: Mapping[str, Mapping[str, Tensor]],
    ) -> None:
        self._program, self._place, self._parameters, self._states = program, place, parameters, states
        self._device = next(iter(parameters.values())).device

    def cast(self, columns: Array) -> Tensor:
        return torch.from_numpy(columns).to(self._device)

    def __call__(
        self, gradients: Mapping[str, Tensor], bases: NDArray[np.int64], columns: Tensor, active: Mask
    ) -> None:
        going = torch.from_numpy(active).to(self._device)
        for name, p in self._parameters.items():
            elements = {"g": gradients[name][self._place], "p": p, **{s: of[name] for s, of in self._states.items()}}
            stacked.update(self._program, columns.to(p.dtype), going, elements)


def _aligned(gradient: Tensor, parameter: Tensor) -> Tensor:
    """The gradient in the parameter's memory layout, `[m, …]`."""
    return gradient if gradient.stride() == parameter.stride() else like(parameter, gradient)
