"""The fast path: steps a param group again from prepared passes, with few calls for all parameters.

The general path, `general_path.py`, costs over ten times as much per parameter. This one checks everything that may
have changed since (which parameters have gradients, their types and layouts, every data pointer), and falls back if so.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import attrgetter, is_, itemgetter
from typing import Any

import numpy as np
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution import compiled, dispatch
from thalweg.execution.cpu import scalars
from thalweg.execution.cpu.scalars import Singles
from thalweg.execution.memory import Memory
from thalweg.execution.overlap import Stretches, stretch_of
from thalweg.numerics.functions import rows_held_in
from thalweg.optim.interop.precision import MOST
from thalweg.optim.state.quantized_state import SCALES, scales
from thalweg.optim.state.state import REST, States
from thalweg.optim.stepping.general_path import Work
from thalweg.recipes.catalogue import Values
from thalweg.recipes.options import AGREEMENT
from thalweg.recipes.row_table import Ahead, Array, table
from thalweg.recipes.trace import Program, trace_agreement

LATER = np.array([2.0])  # the step number for rules that only ask whether it is the first

_dtype = attrgetter("dtype")


class FastPath:
    """Parameters of one step variant, with their state. Raises `Unsuited` where their memory is not plain."""

    def __init__(self, work: Work, all_states: States) -> None:
        params, gradients = work.params, work.gradients
        self.structure, self.precision = work.needs.structure, work.precision
        self._program, self._params, self._each = work.program, [*params], np.arange(len(params))
        self._places, self._version = np.array(work.places), 0
        self._states = states = [all_states[p] for p in params] if work.needs.keeps(params) else []
        self._own_of = _reader(self._program, states)
        self._held = self._own_of(states)
        rows, singles = self._rows(gradients, states), self._singles(work, states)
        self._memory = Memory([*chain(*(row[1:] for row in rows))], gradients, [*chain(*singles)])
        read = [Singles(_dtype(of[0]), np.array([*map(Tensor.data_ptr, of)])) for of in singles]
        self._steps = read.pop(0) if work.counted else None
        self._row_states = dict(zip(self._program.row_states, read, strict=True))
        self._row_dtype = work.needs.row_dtype(states[0]) if states else None
        self._passes = _passes(self._program, rows, stochastic=self.precision.chances(params))
        self._stochastic = any(step.stochastic for _, step in self._passes)
        self._ahead = Ahead(self._program)
        self._counting: Program | None = None
        if AGREEMENT in self._program.measured:
            if self._memory.shared:
                raise Unsuited("parameters share memory, and are cautious one after the other")
            self._counting = trace_agreement(self.structure)
            self._sizes = np.array([max(1, p.numel()) for p in params])
            self._counting_passes = _passes(self._counting, rows)

    def _rows(self, gradients: Sequence[Tensor], states: Sequence[States]) -> list[tuple[Tensor, ...]]:
        """Each parameter's streams: gradient, parameter, states, then residual and scales if it has them."""
        names, rows = self._program.states, []
        for i, (g, p) in enumerate(zip(gradients, self._params, strict=True)):
            state = states[i] if states else {}
            rest = (state[REST],) if self.precision.compensates(p) else ()
            row, of_8_bits = (g, p, *(state[name] for name in names), *rest), scales(state, names)
            if why := dispatch.obstacle(*row, scales=of_8_bits):
                raise Unsuited("" if g.is_sparse else why)
            rows.append((*row, *of_8_bits))
        return rows

    def _singles(self, work: Work, states: Sequence[States]) -> list[list[Tensor]]:
        """The step counts, if any, and each row state: one number per parameter."""
        names = [*(["step"] if work.counted else []), *self._program.row_states]
        of_rows = [state[name] for state in states for name in self._program.row_states]
        if len({*map(id, self._params)}) < len(self._params) or Stretches(map(stretch_of, of_rows)).met:
            raise Unsuited("parameters are listed twice, or share their state")
        singles = [[state[name] for state in states] for name in names]
        for name, of in zip(names, singles, strict=True):
            if not all(map(_single, of)) or len({*map(_dtype, of)}) > 1:
                raise Unsuited(f"{name!r} is not one number in float32 or float64, of one dtype in all parameters")
        return singles

    def fits(self, all_states: States, version: int, params: Sequence[Tensor], gradients: Sequence[Tensor]) -> bool:
        """Whether `run` may step these: all is unchanged, except for the gradients' values and addresses.

        version: of the state dicts; while it stays, each parameter has the same dict. gradients: plain tensors.
        """
        if not (_same(params, self._params) and self._state_is_as_before(all_states, version)):
            return False
        begins = self._memory.begins(gradients)
        if begins is None:
            return False
        self._begins = begins
        return True

    def run(self, values: Values, measured: Mapping[str, Array]) -> None:
        """Steps what `fits` accepted. measured: row values measured on the gradients."""
        gradients = self._begins
        alike = self._steps is None or self._steps.read(more=1.0)
        t = self._steps.values if self._steps is not None else LATER
        if not 1 <= t[0] < MOST - 1 or not (alike or (t.min() >= 1 and t.max() < MOST - 1)):
            self._require_counts(t)
            self._widen(t)
        if self._row_states or self._program.measured:
            with rows_held_in(self._row_dtype):
                columns, which = self._anew(values, t, alike, measured, gradients)
        elif alike:
            columns, which = self._ahead(values, float(t[0])), None
        else:
            distinct, which = np.unique(t, return_inverse=True)
            columns = table(self._program, self._inputs(values) | {"t": distinct})[0]
        if self._stochastic:
            self._draw(t)
        _carry_out(self._passes, columns, which, gradients)

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

    def _draw(self, t: Array) -> None:
        """Sets the stochastic rounding keys of this step."""
        keys = self.precision.keys(t, self._places)
        for index, step in self._passes:
            step.keys[:] = keys[index]

    def _anew(
        self, values: Values, t: Array, alike: bool, measured: Mapping[str, Array], gradients: Array
    ) -> tuple[Array, Array | None]:
        """The table of row values, one line per parameter unless all are alike. Updates the row states."""
        held = self._row_states.values()
        same = [singles.read() for singles in held]  # reads every one: no short circuit
        alike = alike and all(same) and not any(map(np.ndim, measured.values()))
        before = {name: s.values[:1] if alike else s.values for name, s in self._row_states.items()}
        now = {**before, **measured, "t": t[:1] if alike else t}
        if self._counting is not None:
            now[AGREEMENT] = self._agreement(self._counting, values, now, None if alike else self._each, gradients)
            alike = False
        columns, after = table(self._program, self._inputs(values) | now)
        for name, singles in self._row_states.items():
            singles.write(np.broadcast_to(after[name], len(self._params)).copy())
        return columns, None if alike else self._each

    def _agreement(
        self, counting: Program, values: Values, now: Mapping[str, Array], which: Array | None, gradients: Array
    ) -> Array:
        """The share of each parameter's elements that a cautious step moves, `[n]`."""
        columns = table(counting, {**{name: values[name] for name in counting.inputs}, **now})[0]
        _carry_out(self._counting_passes, columns, which, gradients)
        counts = np.zeros(len(self._params))
        for index, step in self._counting_passes:
            counts[index] = step.counts
        return np.asarray(counts / self._sizes)

    def _inputs(self, values: Values) -> dict[str, Any]:
        return {name: values[name] for name in self._program.inputs}

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
    own = ("step", *program.states, *program.row_states, REST, *(name + SCALES for name in program.states))
    names = [name for name in own if any(name in state for state in states)]
    if not all(name in state for name in names for state in states):  # not all have residuals, or scales
        return lambda of: [state.get(name) for state in of for name in names]
    if len(names) < 2:
        return lambda of: [*map(itemgetter(*names), of)] if names else []
    return lambda of: [*chain.from_iterable(map(itemgetter(*names), of))]


def _passes(
    program: Program, rows: Sequence[tuple[Tensor, ...]], *, stochastic: bool = False
) -> list[tuple[Array, compiled.Pass]]:
    """One pass per combination of device and dtypes, with the indices of its rows."""
    made = []
    for (device, held), index in dispatch.together(rows):
        chosen = [rows[r] for r in index]
        sizes = np.array([row[1].numel() for row in chosen])
        step = compiled.prepare(program, device, held, sizes, len(rows), stochastic=stochastic)
        step.pointers[:] = np.array([[*map(Tensor.data_ptr, row)] for row in chosen]).T
        made.append((index, step))
    return made


def _carry_out(
    passes: Sequence[tuple[Array, compiled.Pass]], columns: Array, which: Array | None, gradients: Array
) -> None:
    """Runs the passes. which: each parameter's line of the table, by default the first. gradients: data pointers."""
    for index, step in passes:
        step.which[:] = 0 if which is None else which[index]
        step.pointers[0] = gradients[index]
        step(columns)


def _single(value: Any) -> bool:
    """Whether it is a CPU tensor of one number that `scalars` can read."""
    return isinstance(value, Tensor) and value.numel() == 1 and value.is_cpu and scalars.accepts(value.dtype)


def _same(now: Sequence[Any], before: Sequence[Any]) -> bool:
    return len(now) == len(before) and all(map(is_, now, before))
