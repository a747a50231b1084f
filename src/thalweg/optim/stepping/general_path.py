"""The general path: steps a param group of any layouts, devices or dtypes, and creates missing state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.execution import dispatch, overlap
from thalweg.execution.compiled import CompiledElements
from thalweg.execution.driver import Rows
from thalweg.execution.elements import Elements
from thalweg.execution.reference import ReferenceRows
from thalweg.optim.interop import sharded, sparse
from thalweg.optim.interop.precision import MOST, Precision
from thalweg.optim.state import fitting, quantized_state
from thalweg.optim.state import state as states
from thalweg.optim.state.state import Needs
from thalweg.recipes.row_table import Array
from thalweg.recipes.trace import Program


@dataclass(frozen=True)
class Work:
    """Parameters to step. owner: the optimizer's name, for messages. places: the parameters' indices in their group."""

    owner: str
    needs: Needs
    params: Sequence[Tensor]
    gradients: Sequence[Tensor]
    places: Sequence[int]

    @property
    def program(self) -> Program:
        return self.needs.program

    @property
    def precision(self) -> Precision:
        return self.needs.precision

    @cached_property
    def counted(self) -> bool:
        """Whether the parameters' steps are counted."""
        return self.needs.counts(self.params)


@dataclass(frozen=True, slots=True)
class _Row:
    """One parameter at its step `t`.

    after: after the step, writes back the tensor rows that a sparse gradient touches.
    obstacle: why no compiled pass takes it; empty where one does.
    """

    elements: Elements
    t: float
    state: states.States
    after: Callable[[], None] | None = None
    obstacle: str = ""


class GeneralStep:
    """Parameters that one executor steps, with equal dtypes of row states. A `driver.StepJob`."""

    def __init__(self, needs: Needs, rows: Sequence[_Row], row_dtype: torch.dtype | None) -> None:
        self.program, self._needs, self._rows = needs.program, needs, rows
        of: Any = ReferenceRows if rows[0].obstacle else CompiledElements
        self.rows: Rows = of(needs.structure, [row.elements for row in rows], row_dtype=row_dtype)

    @property
    def values(self) -> dict[str, Any]:
        """The row values, `[rows]`, at this moment: an earlier job may have stepped the same parameters."""
        own = (*self.program.inputs, *self._constraints())
        found: dict[str, Any] = {name: self._needs.values[name] for name in own}
        found |= {name: np.array([row.state[name].item() for row in self._rows]) for name in self.program.row_states}
        return {**found, "t": np.array([row.t for row in self._rows])}

    def begin(self) -> None:
        """Nothing: the steps are counted already."""

    def end(self, after: Mapping[str, Array]) -> None:
        """Writes the new row states, and rows of sparse tensors."""
        for name, new in after.items():
            for row, value in zip(self._rows, np.broadcast_to(new, len(self._rows)).tolist(), strict=True):
                row.state[name].fill_(value)
        for row in self._rows:
            if row.after:
                row.after()

    def _constraints(self) -> list[str]:
        return [*self._needs.structure.limits]


def require(work: Work, group: Mapping[str, Any], all_states: states.States) -> None:
    """Raises `InputError` where tensors do not match, naming the parameter. Nothing is created or changed."""
    keeps = work.needs.keeps(work.params)
    for p, g, place in zip(work.params, work.gradients, work.places, strict=True):
        state = all_states.get(p, {}) if keeps else {}
        fitting.require(fitting.NamedParameter.of(work.owner, group, place, p), g, state, work.needs)


def jobs(work: Work, all_states: states.States) -> tuple[list[GeneralStep], str]:
    """The jobs that step what `require` accepted, in order; and why torch's operators step some, empty if none."""
    keeps = work.needs.keeps(work.params)
    rows = [_row(work, all_states[p] if keeps else {}, order) for order, p in enumerate(work.params)]
    rows = [row for row in rows if not row.elements.p.is_meta]  # nothing to compute; its state has the right shapes
    found = []
    for batch in overlap.batches([row.elements.streams for row in rows]):
        buckets: dict[Any, list[_Row]] = {}
        for row in (rows[i] for i in batch):
            kind = work.needs.row_dtype(row.state), not row.obstacle, row.elements.p.dtype, row.elements.key is not None
            buckets.setdefault(kind, []).append(row)
        found += [GeneralStep(work.needs, bucket, row_dtype) for (row_dtype, *_), bucket in buckets.items()]
    obstacle = next((row.obstacle for row in rows if row.obstacle and row.after is None), "")
    return found, "" if dispatch.watched() else obstacle


def _row(work: Work, state: states.States, order: int) -> _Row:
    p, gradient = work.params[order], work.gradients[order].resolve_conj().resolve_neg()
    for name in ("step", *work.program.row_states):
        if name in state and not state[name].is_cpu:  # moved with a checkpoint; read on the CPU
            state[name] = state[name].cpu()
    t = _stepped(work, state, p)
    quantized_state.lay(state, work.program.states, p)
    held = tuple([state[name] for name in work.program.states])
    residual = state[states.RESIDUAL] if work.precision.compensates(p) else None
    if gradient.is_sparse and sparse.steps_every_row(work.needs.structure, work.program, first=t == 1):
        gradient = gradient.to_dense()
    scales = quantized_state.scales(state, work.program.states)
    key, has_units = _key(work, p, t, order), p.ndim > 1
    matrices = tuple(state[name] for name in work.program.matrix_states)
    elements, after = Elements(gradient, p, held, residual, key, scales, has_units=has_units, matrices=matrices), None
    if gradient.is_sparse:
        elements, after = sparse.touched(elements, units=work.needs.structure.constrains)
    elements = _laid(sharded.elements(elements))
    obstacle = dispatch.obstacle(*elements.tensors, scales=elements.scales)
    return _Row(elements, t, state, after, obstacle)


def _laid(elements: Elements) -> Elements:
    """The elements as real numbers, the gradient in the parameter's layout."""
    g, p, kept = elements.g, elements.p, elements.states
    if p.is_complex():  # as pairs of real numbers: elementwise rules treat the two parts alike, as torch does
        g, p, kept = torch.view_as_real(g), torch.view_as_real(p), tuple(map(torch.view_as_real, kept))
    if not (g.is_contiguous() and p.is_contiguous()) and g.stride() != p.stride():
        g = torch.empty_like(p, dtype=g.dtype).copy_(g)
    return replace(elements, g=g, p=p, states=kept)


def _stepped(work: Work, state: states.States, p: Tensor) -> float:
    """Counts a parameter's step and returns its number; without a count, 1 for the first and 2 for later ones."""
    fresh = work.needs.ensure(state, p, counted=work.counted)
    if not work.counted:
        return 1.0 if fresh else 2.0
    if state["step"].item() >= MOST - 1:
        state["step"] = state["step"].double()  # float32 stops counting here
    state["step"] += 1
    return float(state["step"].item())


def _key(work: Work, p: Tensor, t: float, order: int) -> int | None:
    if not work.precision.chances([p]):
        return None
    return int(work.precision.keys(np.array([t]), np.array([work.places[order]]))[0])
