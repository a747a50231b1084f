"""Capturable steps of a param group on a GPU: one kernel that reads every number from the device, for CUDA graphs.

All that a step needs from the CPU was sent before it, so a graph can capture it and replay it with other gradients, and
another learning rate in a tensor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution import compiled, dispatch
from thalweg.execution.gpu import passes, rows
from thalweg.execution.reference import Elements
from thalweg.optim.state.state import Needs, States
from thalweg.recipes.options import AGREEMENT
from thalweg.recipes.trace import Program, trace_agreement


@dataclass(frozen=True)
class CapturableRow:
    """A parameter's elements, its state, and its index in the group (`place`).

    measured: row values, 0-d float64 on the device. by_kernel: whether `Kernels` steps it.
    """

    elements: Elements
    state: States
    place: int
    measured: Mapping[str, Tensor]
    by_kernel: bool = False


def suits(elements: Elements) -> bool:
    """Whether a kernel can step the row: on a GPU, not sharded, in memory that a compiled pass accepts."""
    return dispatch.on_gpu(elements.p.device) and dispatch.accepts(*elements.tensors, scales=elements.scales)


class Kernels:
    """The passes of one param group, cached between its steps. Not copied or pickled with the optimizer."""

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}
        self._recorded: list[Any] = []

    def step(self, needs: Needs, group: Sequence[CapturableRow], found_inf: Tensor | None) -> None:
        """Steps rows of one device and storage, in place. found_inf: unless 0, nothing changes."""
        states, device = [row.state for row in group], group[0].elements.p.device
        going = None if found_inf is None else (found_inf.to(device) == 0).reshape(())
        t = torch.stack([state["step"] for state in states]).double() + 1
        held = {name: torch.stack([state[name] for state in states]).double() for name in needs.program.row_states}
        known: dict[str, Any] = {**_there(needs.values, device), **held}
        known |= {name: torch.stack([row.measured[name].to(device) for row in group]) for name in group[0].measured}
        if AGREEMENT in needs.structure.measured:
            known[AGREEMENT] = self._agreement(trace_agreement(needs.structure), group, known, t)
        columns, after = rows.table(needs.program, known, t, len(group))
        active = None if going is None else going.long().expand(len(group))
        self._pass(needs.program, group, needs).follow(columns, active, self._keys(needs, group, t))
        self._count(states, going)
        for name, new in after.items():
            now = new if going is None else torch.where(going, new, held[name])
            torch._foreach_copy_([state[name] for state in states], list(now.unbind()))

    def _count(self, states: Sequence[States], going: Tensor | None) -> None:
        counts = [state["step"] for state in states]
        torch._foreach_add_(counts, 1 if going is None else going.to(counts[0].dtype))

    def _agreement(
        self, counting: Program, group: Sequence[CapturableRow], known: Mapping[str, Any], t: Tensor
    ) -> Tensor:
        """The share of each row's elements that a cautious step moves, float64 `[rows]`."""
        step = self._pass(counting, group, None)
        step.follow(rows.table(counting, known, t, len(group))[0])
        sizes = self._sent(tuple(max(1, row.elements.p.numel()) for row in group), t.device)
        share: Tensor = step.counts_there / sizes.double()
        return share

    def _keys(self, needs: Needs, group: Sequence[CapturableRow], t: Tensor) -> Tensor | None:
        """Stochastic rounding keys of this step, int64 `[rows]`; `None` where nothing is rounded stochastically."""
        if not needs.precision.chances([row.elements.p for row in group]):
            return None
        return needs.precision.key(t, self._sent(tuple(row.place for row in group), t.device))

    def _sent(self, numbers: tuple[int, ...], device: torch.device) -> Tensor:
        there = passes.sent(numbers, device)
        if passes.recording(device):
            self._recorded.append(there)
        return there

    def _pass(self, program: Program, group: Sequence[CapturableRow], needs: Needs | None) -> Any:
        """A pass with the data pointers of these rows. A graph that is being captured gets its own."""
        streams = [row.elements.streams for row in group]
        held, device = tuple(t.dtype for t in streams[0]), streams[0][1].device
        sizes = np.array([row[1].numel() for row in streams])
        chances = needs is not None and needs.precision.chances([row.elements.p for row in group])
        key = (program, held, device, tuple(sizes.tolist()), chances)
        own = passes.recording(device)
        made: Any = None if own else self._made.get(key)
        if made is None:
            made = compiled.prepare(program, device, held, sizes, len(group), stochastic=chances)
            made.which[:] = np.arange(len(group))
            if own:
                self._recorded.append(made)
            else:
                self._made[key] = made
        made.pointers[:] = np.array([[t.data_ptr() for t in row] for row in streams], np.int64).T
        return made


def _there(values: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """The values, tensors moved to the device. Raises `InputError` where a capture would need such a move."""
    away = [name for name, v in values.items() if isinstance(v, Tensor) and v.device != device]
    if away and passes.recording(device):
        raise InputError(f"A CUDA graph reads {away[0]} from the parameters' device: put the tensor on {device}.")
    return {**values, **{name: values[name].to(device) for name in away}}


def alike(group: Sequence[CapturableRow], needs: Needs) -> list[list[CapturableRow]]:
    """Rows grouped by device, storage, and dtype of row states."""
    by_dtype: dict[Any, list[CapturableRow]] = {}
    for row in group:
        by_dtype.setdefault(needs.row_dtype(row.state), []).append(row)
    found = []
    for rows_alike in by_dtype.values():
        index = dispatch.together([row.elements.streams for row in rows_alike])
        found += [[rows_alike[i] for i in of] for _, of in index]
    return found
