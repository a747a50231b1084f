"""The fast path: steps a param group again from prepared passes, with few calls for all parameters.

The general path, `general_path.py`, costs over ten times as much per parameter. This one checks everything that may
have changed since (which parameters have gradients, their types and layouts, every data pointer), and falls back if so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import attrgetter, is_, itemgetter
from typing import Any

import numpy as np
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution import dispatch
from thalweg.execution.compiled import CompiledElements
from thalweg.execution.cpu import scalars
from thalweg.execution.cpu.scalars import Singles
from thalweg.execution.driver import Rows
from thalweg.execution.elements import Elements
from thalweg.execution.memory import Memory
from thalweg.execution.overlap import Stretches, stretch_of
from thalweg.optim.interop.precision import MOST, Precision
from thalweg.optim.state.quantized_state import SCALES, scales
from thalweg.optim.state.state import RESIDUAL, States
from thalweg.optim.stepping.general_path import Work
from thalweg.optim.stepping.readings_ahead import ReadingsAhead
from thalweg.optim.stepping.rows_ahead import RowsAhead
from thalweg.recipes.catalogue import Values
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.row_line import line
from thalweg.recipes.row_table import Array, table
from thalweg.recipes.stages import Stage
from thalweg.recipes.trace import Program

NOTHING: Mapping[str, Any] = {}
LATER = np.array([2.0])  # the step number for rules that only ask whether it is the first

_dtype = attrgetter("dtype")


class FastPath(CompiledElements):
    """Parameters of one step variant, with their state. Raises `Unsuited` where their memory is not plain.

    hyperparameters: those of the next step. readings: what foretells them, if anything does. values: the row values of
    the step that `begin` began: numbers where all parameters are alike, else arrays.
    """

    def __init__(self, work: Work, all_states: States) -> None:
        params, gradients = work.params, work.gradients
        self.structure, self.precision, self.program = work.needs.structure, work.precision, work.program
        self._params, self._places, self._version = [*params], np.array(work.places), 0
        self._states = states = [all_states[p] for p in params] if work.needs.keeps(params) else []
        self._own_of = _reader(self.program, states)
        self._held = self._own_of(states)
        rows, singles = self._elements(gradients, states), self._singles(work, states)
        self._memory = Memory([*chain(*(row.streams[1:] for row in rows))], gradients, [*chain(*singles)])
        if self._memory.shared and (self.program.before or self.program.constrained):
            raise Unsuited("parameters share memory, and are measured one after the other")
        row_dtype = work.needs.row_dtype(states[0]) if states else None
        super().__init__(self.structure, rows, row_dtype=row_dtype, stochastic=self.precision.chances(params))
        whole = self._rows if self.program.constrained or self.program.transients else []
        self._rows = [replace(row, g=row.p, p=row.p.detach()) for row in whole]  # without their gradients
        read = [Singles(_dtype(of[0]), np.array([*map(Tensor.data_ptr, of)])) for of in singles]
        self._steps = read.pop(0) if work.counted else None
        self._row_states = dict(zip(self.program.row_states, read, strict=True))
        self._read_names = (*self.program.inputs, *self.structure.limits)
        self.values: Mapping[str, Any] = NOTHING
        self._alike = False
        self._by_step_only = not (self.program.row_states or self.program.before or self.program.constrained)
        self.hyperparameters: Values = NOTHING
        self.readings: ReadingsAhead | None = None
        self._line: Array | None = None
        self._ahead = RowsAhead(self.program.update, self._read_names)
        for stage in self.program.stages:
            self.prepared(stage)

    @property
    def rows(self) -> Rows:
        return self

    def _elements(self, gradients: Sequence[Tensor], states: Sequence[States]) -> list[Elements]:
        """Each parameter's tensors."""
        names, rows = self.program.states, []
        for i, (g, p) in enumerate(zip(gradients, self._params, strict=True)):
            state = states[i] if states else {}
            residual = state[RESIDUAL] if self.precision.compensates(p) else None
            held, of_8_bits = tuple(state[name] for name in names), scales(state, names)
            matrices = tuple(state[name] for name in self.program.matrix_states)
            row = Elements(g, p, held, residual, None, of_8_bits, has_units=p.ndim > 1, matrices=matrices)
            if why := dispatch.obstacle(*row.tensors, scales=of_8_bits):
                raise Unsuited("" if g.is_sparse else why)
            rows.append(row)
        return rows

    def _singles(self, work: Work, states: Sequence[States]) -> list[list[Tensor]]:
        """The step counts, if any, and each row state: one number per parameter."""
        names = [*(["step"] if work.counted else []), *self.program.row_states]
        of_rows = [state[name] for state in states for name in self.program.row_states]
        if len({*map(id, self._params)}) < len(self._params) or Stretches(map(stretch_of, of_rows)).met:
            raise Unsuited("parameters are listed twice, or share their state")
        singles = [[state[name] for state in states] for name in names]
        for name, of in zip(names, singles, strict=True):
            if not all(map(_single, of)) or len({*map(_dtype, of)}) > 1:
                raise Unsuited(f"{name!r} is not one number in float32 or float64, of one dtype in all parameters")
        return singles

    def serves(self, structure: StepVariant, precision: Precision) -> bool:
        """Whether it was prepared for this step variant and precision."""
        if structure is not self.structure:
            if structure != self.structure:
                return False
            self.structure = structure  # for the next comparison
        if precision is not self.precision:
            if precision != self.precision:
                return False
            self.precision = precision
        return True

    def fits(self, all_states: States, version: int, params: Sequence[Tensor], gradients: Sequence[Tensor]) -> bool:
        """Whether these may be stepped: all is unchanged, except for the gradients' values and addresses.

        version: of the state dicts; while it stays, each parameter has the same dict. gradients: plain tensors.
        """
        if not (_same(params, self._params) and self._state_is_as_before(all_states, version)):
            return False
        begins = self._memory.begins(gradients)
        if begins is None:
            return False
        self.gradients = begins
        return True

    def begin(self) -> None:
        """Begins a step of what `fits` accepted: counts it, and gathers its row values."""
        hyperparameters = self.hyperparameters
        alike = self._steps is None or self._steps.read(more=1.0)
        t = self._steps.values if self._steps is not None else LATER
        first = float(t[0])
        if not 1 <= first < MOST - 1 or not (alike or (t.min() >= 1 and t.max() < MOST - 1)):
            self._require_counts(t)
            self._widen(t)
        if self._stochastic:
            self.keys = self.precision.keys(t, self._places)
        if alike and self._by_step_only:
            self._line = self._ahead.line(first, hyperparameters, self.readings)
            return
        self._line = None
        for singles in self._row_states.values():
            alike = singles.read() and alike  # reads every one
        found = {"t": t, **{name: singles.values for name, singles in self._row_states.items()}}
        now = {name: float(of[0]) for name, of in found.items()} if alike else found
        inputs = {name: hyperparameters[name] for name in self._read_names}
        self.values, self._alike = {**inputs, **now}, alike

    def table(self, stage: Stage, values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        if self._line is not None and stage is self.program.update:
            return self._line, {}
        measured = self.program.per_tensor and stage is not self.program.before[0]
        return (line if self._alike and not measured else table)(stage, values, self.row_dtype)

    def end(self, after: Mapping[str, Any]) -> None:
        """Writes the new row states."""
        for name, new in after.items():
            self._row_states[name].write(np.broadcast_to(new, len(self._params)).astype(np.float64))

    def _require_counts(self, t: Array) -> None:
        """Raises `InputError` where a step count was below 0, after resetting all counts."""
        if self._steps is not None and (t < 1).any():
            self._steps.read(more=-1.0)
            raise InputError(f"A parameter's count of steps must be 0 or more, got {self._steps.values.min():g}.")

    def _widen(self, t: Array) -> None:
        """Widens step counts to float64, from the next step on, where float32 would stop counting."""
        for count, state in zip(t.tolist(), self._states, strict=False):
            if count >= MOST - 1:
                state["step"] = state["step"].double()

    def _state_is_as_before(self, all_states: States, version: int) -> bool:
        """Whether every state dict, and all in it that a step reads, is still the same object."""
        moved = version != self._version and self._states
        if moved and not _same([*map(all_states.get, self._params)], self._states):
            return False
        self._version = version
        try:
            return _same(self._own_of(self._states), self._held)
        except KeyError:  # something that a step reads was removed
            return False


class Unsuited(Exception):  # noqa: N818 - no error: the general path takes over
    """These parameters cannot take the fast path: the reason as a clause, or empty for sparse gradients."""


def _reader(program: Program, states: Sequence[States]) -> Callable[[Sequence[States]], list[Any]]:
    """Returns a reader of all that a step needs from parameters' states, which may hold more."""
    own = (
        "step",
        *program.states,
        *program.matrix_states,
        *program.row_states,
        RESIDUAL,
        *(name + SCALES for name in program.states),
    )
    names = [name for name in own if any(name in state for state in states)]
    if not all(name in state for name in names for state in states):  # not all have residuals, or scales
        return lambda of: [state.get(name) for state in of for name in names]
    if len(names) < 2:
        return lambda of: [*map(itemgetter(*names), of)] if names else []
    return lambda of: [*chain.from_iterable(map(itemgetter(*names), of))]


def _single(value: Any) -> bool:
    """Whether it is a CPU tensor of one number that `scalars` can read."""
    return isinstance(value, Tensor) and value.numel() == 1 and value.is_cpu and scalars.accepts(value.dtype)


def _same(now: Sequence[Any], before: Sequence[Any]) -> bool:
    return len(now) == len(before) and all(map(is_, now, before))
