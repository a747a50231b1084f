"""Parameters of consecutive members with one step variant: hyperparameters, states, and the rows of their steps."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.execution.driver import carry_out
from thalweg.execution.storage.rounding import wide
from thalweg.execution.whole import matrix_state
from thalweg.population.program.models import like
from thalweg.population.updates.hyperparameters import Groups, Hyperparameters, limits_of
from thalweg.population.updates.member_rows import CompiledMembers, StackedMembers, member_rows
from thalweg.population.updates.members import Member
from thalweg.population.updates.parts import Gradient, Mask, Scratch, addresses
from thalweg.population.updates.snapshot import Snapshot, copied
from thalweg.recipes.compose import StepVariant, evaluated, transform_gradients
from thalweg.recipes.measured_rows import measured_rows
from thalweg.recipes.options import OPTIONS, TRANSFORMS
from thalweg.recipes.row_table import Array, table
from thalweg.recipes.stages import Stage
from thalweg.recipes.trace import Program, trace


@dataclass(frozen=True)
class MembersStep:
    """A step of one group: a `driver.StepJob`. active: bool `[members]` or `[parameters, members]`."""

    program: Program
    rows: CompiledMembers | StackedMembers
    values: Mapping[str, Any]
    active: Mask


class Group:
    """Parameters of one step variant, of consecutive members: hyperparameters `[m]`, and state in their layout."""

    def __init__(
        self,
        structure: StepVariant,
        members: Sequence[Member],
        place: slice,
        parameters: Mapping[str, Tensor],
        groups: Groups,
        scratch: Scratch,
        *,
        each: bool = False,
    ) -> None:
        self.structure, self.place, self._scratch, self._each = structure, place, scratch, each
        self.program: Program = trace(structure)
        self.hyperparameters = Hyperparameters(self._scalars(), members, [*parameters], groups)
        self.values: dict[str, Array] = dict(self.hyperparameters.fixed)
        self._first, self._during, self._row_states = 1, dict[str, Array](), list[dict[str, Array]]()
        declared = {s.name: s for s in structure.states}
        for name in self.program.row_states:
            first = np.asarray(declared[name].first(self.values, None), np.float64)
            self.values[name] = np.broadcast_to(first, (*first.shape[:-1], len(members))).copy()
        self._parameters = {name: p[place] for name, p in parameters.items()}
        self.states = {
            name: {
                p_name: _filled(p, _of(declared[name].first(self.values, p), i))
                for i, (p_name, p) in enumerate(self._parameters.items())
            }
            for name in self.program.states
        }
        self.matrices = {
            name: {
                p_name: matrix_state(declared[name], p, declared[name].initial, len(p))
                for p_name, p in self._parameters.items()
            }
            for name in self.program.matrix_states
        }
        self.make_ready()

    @property
    def names(self) -> Collection[str]:
        """The parameters' names."""
        return self._parameters.keys()

    def make_ready(self) -> None:
        """Builds the rows. Transformed gradients are the members' own, sliced from the stack: they begin at 0."""
        self._transforms = self.structure.transforms
        self.needs_whole = self._transforms or bool(self.program.before)
        source = slice(0, self.place.stop - self.place.start) if self._transforms else self.place
        transients = {
            name: {n: torch.zeros_like(p, dtype=wide(p.dtype)) for n, p in self._parameters.items()}
            for name in self.program.transients
        }
        own = (self._parameters, {**self.states, **transients}, self.matrices, self._scratch)
        each = self._each or self.hyperparameters.per_parameter
        self.rows = member_rows(self.structure, self.program, source, *own, each=each)
        self._columns: Any = None
        self._ahead: Array | None = None

    def plan(self, first: int, steps: int, *, ahead: bool = False) -> None:
        self._first, self._during = first, self.hyperparameters.during(first, steps)
        ahead = ahead and is_planned_ahead(self.structure) and not self._each
        sequential = ahead and bool(self.program.row_states)
        columns, self._row_states = self._in_sequence(first, steps) if sequential else (self.planned(first, steps), [])
        self._columns, self._ahead = None, columns if ahead else None
        if ahead and self.program.before:
            self._ahead = columns if sequential else self._of_steps(first, steps)
        elif columns is not None:
            self._columns = self.rows.cast(columns)

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """The members' parameters, `[m, …]`."""
        return self._parameters

    @property
    def planned_ahead(self) -> bool:
        """Whether passes with the current steps' planned row values are the whole step, by kernels on the CPU."""
        return self._ahead is not None and isinstance(self.rows, CompiledMembers)

    @property
    def planned_columns(self) -> tuple[Array, int]:
        """Row values `[steps, m, columns]`, or `[steps, parameters, m, columns]`, and the first of these steps.

        Those of the update, or of `measured_rows` where the step measures others.
        """
        assert self._ahead is not None
        return self._ahead, self._first

    def planned(self, first: int, steps: int) -> Array | None:
        """Row values of these steps, `[steps, m, columns]`; `None` unless they depend on the step number only."""
        if self.program.row_states or self.needs_whole or self.program.closing is not None or self._each:
            return None
        return self._of_steps(first, steps)

    def _of_steps(self, first: int, steps: int) -> Array:
        """Row values of these steps, `[steps, m, columns]`, that depend on no row state."""
        t = np.arange(first, first + steps, dtype=np.float64)
        t = t[:, None, None] if self.hyperparameters.per_parameter else t[:, None]
        return table(self._planned_stage, {**self.inputs(), **self.changing(first, steps), "t": t})[0]

    @property
    def _planned_stage(self) -> Stage:
        """Has the row values that can be planned as columns."""
        measured = measured_rows(self.program) if self.program.before else None
        return self.program.update if measured is None else measured.planned

    def _in_sequence(self, first: int, steps: int) -> tuple[Array, list[dict[str, Array]]]:
        """Row values `[steps, …]` where they depend on row states, and the row states after each step."""
        values, changing = dict(self.inputs()), self.changing(first, steps)
        columns, states = [], []
        for i in range(steps):
            at = {**values, **{name: x[i] for name, x in changing.items()}, "t": np.asarray(first + i, np.float64)}
            made, after = table(self._planned_stage, at)
            columns.append(made)
            states.append({name: np.broadcast_to(after[name], self.values[name].shape).copy() for name in after})
            values.update(states[-1])
        return np.stack(columns), states

    def advance(self, t: int) -> None:
        """Sets the row states to those after step `t`, where they are planned."""
        if self._row_states:
            self.values.update(self._row_states[t - self._first])

    def changing(self, first: int, steps: int) -> dict[str, Array]:
        """The hyperparameters that change with the step, `[steps, …]` as those that do not."""
        found = self.hyperparameters.during(first, steps)
        per_parameter = self.hyperparameters.per_parameter
        return {name: x[:, None] if per_parameter and x.ndim == 2 else x for name, x in found.items()}

    def begin(
        self,
        t: int | Array,
        gradients: Mapping[str, Gradient],
        bases: NDArray[np.int64],
        active: Mask,
        step: int | None = None,
    ) -> MembersStep:
        """Begins step `t`. `gradients`, `bases`: the full stack's, from `PopulationUpdates.aligned`.

        step: the run's step, where parameters have their own.
        """
        if self._during:
            place = (step or int(np.max(t))) - self._first
            self.values.update({name: array[place] for name, array in self._during.items()})
        if self._transforms:
            gradients = self.transformed(gradients, self.values)
            bases = addresses([g for g in gradients.values() if isinstance(g, Tensor)])
        if self._row_states and self._columns is not None:
            self.advance(int(np.max(t)))
        self.rows.set_inputs(gradients, bases, active)
        self.rows.planned = None if self._columns is None else self._columns[t - self._first]
        return MembersStep(self.program, self.rows, {**self.values, "t": np.asarray(t, np.float64)}, active)

    def finish(self, job: MembersStep, measured: Mapping[str, Any] | None = None) -> None:
        """Takes the step. measured: what the first stage measures, where it is shared with other parameters."""
        after = carry_out(job.program, job.rows, job.values, measured)
        going = job.active if self._each else True
        self.values.update({n: np.where(going, value, self.values[n]) for n, value in after.items()})

    def transformed(self, gradients: Mapping[str, Gradient], values: Mapping[str, Any]) -> dict[str, Gradient]:
        """The members' own gradients after the step variant's transforms, in the parameters' memory layout."""
        made: dict[str, Gradient] = {}
        for i, (name, p) in enumerate(self._parameters.items()):
            limits = limits_of(values, TRANSFORMS, p, i)
            g = transform_gradients(self.structure, _own(gradients[name], self.place), p, limits)
            made[name] = g if g.stride() == p.stride() else like(p, g)
        return made

    def evaluated(self) -> dict[str, Tensor]:
        """Weights to evaluate the members by, `[m, …]`, by parameter name."""
        return {name: self._evaluated(name, p) for name, p in self._parameters.items()}

    def _evaluated(self, name: str, p: Tensor) -> Tensor:
        states, place = {state: of[name] for state, of in self.states.items()}, list(self._parameters).index(name)
        own = {key: v if v.ndim == 1 else v[place] for key, v in self.values.items()}
        values = {key: torch.from_numpy(v).to(p).view(-1, *[1] * (p.ndim - 1)) for key, v in own.items()}
        average: Tensor = evaluated(self.structure, p, states, values)
        return average

    def state(self) -> Snapshot:
        tensors = {f"{state}/{name}": t for state, of in self._kept.items() for name, t in of.items()}
        return Snapshot(tensors, {name: self.values[name].tolist() for name in self.program.row_states})

    @property
    def _kept(self) -> dict[str, dict[str, Tensor]]:
        """All states, `[m, …]`, by name and parameter."""
        return {**self.states, **self.matrices}

    def restore(self, state: Snapshot) -> None:
        for name, of in self._kept.items():
            copied(of, Snapshot({n: state.tensors[f"{name}/{n}"] for n in of}))
        self.values.update({name: np.array(state.facts[name]) for name in self.program.row_states})

    def take(self, other: "Group") -> None:
        """With `each`: copies the state of a group of the same member, some parameters and one step count."""
        for name, of in other._kept.items():
            for parameter, tensor in of.items():
                self._kept[name][parameter].copy_(tensor)
        known = np.array([[name in other._parameters] for name in self._parameters])
        for name in self.program.row_states:
            self.values[name] = np.where(known, other.values[name], self.values[name])

    def keep(self, inside: NDArray[np.int64], place: slice, parameters: Mapping[str, Tensor]) -> "Group":
        kept = object.__new__(Group)
        kept.structure, kept.program, kept.place = self.structure, self.program, place
        kept._scratch, kept._each = self._scratch, self._each
        kept.values = {name: array[..., inside] for name, array in self.values.items()}
        kept.hyperparameters = self.hyperparameters.keep(inside)
        kept._row_states = [{name: x[..., inside] for name, x in of.items()} for of in self._row_states]
        kept._first, kept._during = self._first, {name: x[..., inside] for name, x in self._during.items()}
        kept._parameters = {name: parameters[name][place] for name in self._parameters}
        index = torch.from_numpy(inside)
        kept.states = {
            name: {p_name: like(s, s[index.to(s.device)]) for p_name, s in of.items()}
            for name, of in self.states.items()
        }
        kept.matrices = {
            name: {p_name: s[index.to(s.device)] for p_name, s in of.items()} for name, of in self.matrices.items()
        }
        kept.make_ready()
        return kept

    def _scalars(self) -> list[str]:
        """Hyperparameters that the program, a transform or a constraint reads, or that states start from."""
        starts = [s.source for s in self.structure.rule.states if s.source]
        whole = [name for name in TRANSFORMS if self.structure.has(name) and not OPTIONS[name].is_flag]
        return [*dict.fromkeys([*self.program.inputs, *starts, *whole, *self.structure.limits])]

    def inputs(self) -> dict[str, Array]:
        return {name: self.values[name] for name in (*self.program.inputs, *self.program.row_states)}


def is_planned_ahead(structure: StepVariant) -> bool:
    """Whether a step is passes with row values that follow from the step, row states and what it measures."""
    program = trace(structure)
    whole = structure.transforms or program.constrained or program.closing is not None
    return not whole and (not program.before or measured_rows(program) is not None)


def _of(start: Any, parameter: int) -> Any:
    """A state's start for one parameter, where groups of parameters have their own."""
    return start[parameter] if isinstance(start, np.ndarray) and start.ndim == 2 else start


def _filled(parameter: Tensor, start: Tensor | Array | float) -> Tensor:
    """A tensor of the parameter's shape `[m, …]` and layout, filled with `start`: `[m, …]`, `[m]` or one for all."""
    if isinstance(start, Tensor):
        return start.clone(memory_format=torch.preserve_format)
    values = torch.from_numpy(np.atleast_1d(start)).to(parameter).view(-1, *[1] * (parameter.ndim - 1))
    return like(parameter, values.expand_as(parameter))


def _own(gradient: Gradient, place: slice) -> Tensor:
    """Some members' slice of a materialized gradient."""
    assert isinstance(gradient, Tensor)
    return gradient[place]
