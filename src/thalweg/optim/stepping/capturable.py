"""Capturable steps of a param group on a GPU: one kernel that reads every number from the device, for CUDA graphs.

All that a step needs from the CPU was sent before it, so a graph can capture it and replay it with other gradients, and
another learning rate in a tensor.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from thalweg.errors import InputError
from thalweg.execution import compiled, dispatch
from thalweg.execution.elements import Elements
from thalweg.execution.gpu import passes
from thalweg.execution.lowering.device_table import DeviceRows
from thalweg.execution.storage.rounding import LOW
from thalweg.execution.whole import call_rows, constrained, with_transients
from thalweg.optim.state.state import Needs, States
from thalweg.recipes.stages import Stage


@dataclass(frozen=True)
class CapturableRow:
    """A parameter with its elements, state, and index in the group. by_kernel: whether `KernelStep` steps it."""

    elements: Elements
    state: States
    p: Tensor
    place: int
    by_kernel: bool = False


def suits(elements: Elements) -> bool:
    """Whether a kernel can step the row: on a GPU, not sharded, in memory that a compiled pass accepts."""
    return dispatch.on_gpu(elements.p.device) and dispatch.accepts(*elements.tensors, scales=elements.scales)


class Kernels:
    """The passes of one param group, cached between its steps. Not copied or pickled with the optimizer."""

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}
        self._recorded: list[Any] = []

    def job(self, needs: Needs, group: Sequence[CapturableRow], found_inf: Tensor | None) -> "KernelStep":
        """The step of rows of one device and storage, in place. found_inf: unless 0, nothing changes."""
        return KernelStep(self, needs, group, found_inf)

    def sent(self, numbers: tuple[int, ...], device: torch.device) -> Tensor:
        """Numbers on the device, int64, kept for a graph that is being captured."""
        there = passes.sent(numbers, device)
        if passes.recording(device):
            self._recorded.append(there)
        return there

    def prepared(self, stage: Stage, group: Sequence[CapturableRow], *, stochastic: bool) -> Any:
        """A pass with the data pointers of these rows. A graph that is being captured gets its own."""
        streams = [row.elements.streams for row in group]
        held, device = tuple(t.dtype for t in streams[0]), streams[0][1].device
        sizes = np.array([row[1].numel() for row in streams])
        key = (stage, held, device, tuple(sizes.tolist()), stochastic)
        own = passes.recording(device)
        made: Any = None if own else self._made.get(key)
        if made is None:
            made = compiled.prepare(stage, device, held, sizes, len(group), stochastic=stochastic)
            made.which[:] = np.arange(len(group))
            if own:
                self._recorded.append(made)
            else:
                self._made[key] = made
        made.pointers[:] = np.array([[t.data_ptr() for t in row] for row in streams], np.int64).T
        return made


class KernelStep(DeviceRows):
    """One step of rows of one device and storage. A `driver.StepJob`."""

    def __init__(
        self, kernels: Kernels, needs: Needs, group: Sequence[CapturableRow], found_inf: Tensor | None
    ) -> None:
        super().__init__(len(group))
        group = [replace(row, elements=with_transients(needs.program, row.elements)) for row in group]
        self.program, self._kernels, self._needs, self._group = needs.program, kernels, needs, group
        self._states, self._device = [row.state for row in group], group[0].elements.p.device
        self._going = None if found_inf is None else (found_inf.to(self._device) == 0).reshape(())
        self.row_dtype = needs.row_dtype(group[0].state)
        t = torch.stack([state["step"] for state in self._states]).double() + 1
        held = {n: torch.stack([state[n] for state in self._states]).double() for n in needs.program.row_states}
        self.values: dict[str, Any] = {**_there(needs.values, self._device), **held, "t": t}
        self._stochastic = needs.precision.chances([row.elements.p for row in group])
        places = self._kernels.sent(tuple(row.place for row in group), self._device) if self._stochastic else None
        self._keys = None if places is None else needs.precision.key(t, places)

    @property
    def rows(self) -> "KernelStep":
        return self

    def reduce(self, stage: Stage, columns: Tensor) -> dict[str, Tensor]:
        step = self._kernels.prepared(stage, self._group, stochastic=False)
        step.launch(columns)
        sizes = self._kernels.sent(tuple(row.elements.size for row in self._group), self._device)
        found = {}
        for reduction, sums in zip(stage.reductions, step.sums_there.clone(), strict=True):
            value = sums / sizes.double() if reduction.op == "mean" else sums.sqrt()
            found[reduction.name] = torch.linalg.vector_norm(value) if reduction.shared else value
        return found

    def update(self, stage: Stage, columns: Tensor) -> None:
        active = None if self._going is None else self._going.long().expand(len(self._group))
        self._kernels.prepared(stage, self._group, stochastic=self._stochastic).launch(columns, active, self._keys)

    def call(self, stage: Stage, columns: Tensor) -> None:
        call_rows(self.program, stage, [row.elements for row in self._group], columns, self._going)

    def constrain(self, values: Mapping[str, Any]) -> None:
        structure = self._needs.structure
        for elements in (row.elements for row in self._group):
            if elements.has_units:
                new = constrained(structure, elements, _of_dtype(values, elements.p.dtype))
                elements.p.copy_(new if self._going is None else torch.where(self._going, new, elements.p))

    @contextmanager
    def unrounded(self) -> Iterator[None]:
        stored, copies = self._group, [row.elements.in_float32 for row in self._group]
        try:
            self._group = [replace(row, elements=copy) for row, copy in zip(stored, copies, strict=True)]
            yield
            if stored[0].elements.p.dtype in LOW:
                pairs = [(row, row.elements, copy.p) for row, copy in zip(stored, copies, strict=True)]
                self._group = [replace(row, elements=Elements(x, of.p, (), of.residual)) for row, of, x in pairs]
                self.update(compiled.ROUND, self.values["t"].new_empty(len(pairs), 0))
        finally:
            self._group = stored

    def end(self, after: Mapping[str, Tensor]) -> None:
        """Counts the step, and writes the new row states."""
        counts = [state["step"] for state in self._states]
        torch._foreach_add_(counts, 1 if self._going is None else self._going.to(counts[0].dtype))
        for name, new in after.items():
            now = new if self._going is None else torch.where(self._going, new, self.values[name])
            torch._foreach_copy_([state[name] for state in self._states], list(now.unbind()))
        increment_version([row.p for row in self._group])


def _of_dtype(values: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    return {name: x.to(dtype) if isinstance(x, Tensor) and x.ndim == 0 else x for name, x in values.items()}


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
