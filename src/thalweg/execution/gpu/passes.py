"""A pass over rows on a GPU."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution.gpu import kernels
from thalweg.execution.gpu.source import BLOCK
from thalweg.execution.storage.dtypes import STORAGE, Storage
from thalweg.recipes.row_table import Array
from thalweg.recipes.stages import Stage


class GpuPass:
    """See `compiled.Pass`. The arrays filled in lie in one buffer, which is copied to the device before each call.

    A pass created during CUDA graph capture belongs to that graph, whose owner must keep it alive; a pass over rows of
    the same sizes must have been created before capture.
    """

    def __init__(
        self,
        stage: Stage,
        device: torch.device,
        storage: Storage,
        sizes: Array,
        lines: int,
        *,
        stochastic: bool = False,
    ) -> None:
        rows, width = len(sizes), len(stage.columns)
        self._real = torch.float64 if torch.float64 in storage else torch.float32
        self.stochastic = stochastic
        self._kernel = kernels.kernel(stage, tuple(STORAGE[d] for d in storage), stochastic=self.stochastic)
        words = max(1, -(-lines * width * self._real.itemsize // 8))
        shapes = [(len(storage), rows), (rows,), (rows,), (rows,), (words,)]
        self._frame = Frame(device, shapes)
        self.pointers, self.which, self.keys, self.active, held = self._frame.arrays
        self._table = held.view(np.float64 if self._real is torch.float64 else np.float32)
        self._table = self._table[: lines * width].reshape(lines, width)
        self.active[:] = 1
        self._blocks, self._bounds = _blocks(tuple(sizes.tolist()), device)
        self._partials = torch.zeros(len(stage.reductions), len(self._blocks), dtype=torch.float64, device=device)
        self.sums_there = torch.zeros(len(stage.reductions), rows, dtype=torch.float64, device=device)

    def sums(self) -> Array:
        """Each row's sums of the last call, float64 `[reductions, rows]`: of squares, for a norm. Synchronizes."""
        found: Array = self.sums_there.cpu().numpy()
        return found

    def __call__(self, columns: Array) -> None:
        refuse_from_the_cpu(self._blocks.device)
        self._table[: len(columns)] = columns
        self._frame.send()
        self._launch()

    def send(self) -> None:
        """Copies the arrays filled in to the device."""
        self._frame.send()

    def launch(self, columns: Tensor, active: Tensor | None = None, keys: Tensor | None = None) -> None:
        """Passes over every row by tensors on the device: columns `[lines, columns]`, active and keys `[rows]`.

        Capturable: it never synchronizes. After capture, call `send()` on a pass created before it.
        """
        if self._frame.recorded or not recording(self._blocks.device):
            self._frame.send()
        _, _, on_keys, on_active, held = self._frame.there
        width = columns.shape[1]
        held.view(self._real)[: len(columns) * width].view(len(columns), width).copy_(columns)
        if active is not None:
            on_active[: len(active)].copy_(active)
        if keys is not None:
            on_keys[: len(keys)].copy_(keys)
        self._launch()

    def _launch(self) -> None:
        self._partials.zero_()
        if len(self._blocks):
            pointers, which, keys, active, held = self._frame.there
            arguments = (held.view(self._real), which, active, pointers, keys, self._partials, self._blocks)
            device = self._blocks.device
            if (self._kernel, device) not in _LAUNCHED:
                refuse_recording(device)  # it is not compiled yet
                _LAUNCHED.add((self._kernel, device))
            with kernels.current(device):
                kernels.launch(self._kernel, len(self._blocks), arguments, len(self.which))
                if self._partials.numel():
                    kernels.fold(self._partials, self._bounds, self.sums_there)


class Frame:
    """Host arrays of 64-bit numbers in one buffer, `arrays`, and their device copies, `there`, aligned to 16 bytes.

    The device copy of the last is undefined until it is written on the device.
    """

    def __init__(self, device: torch.device, shapes: Sequence[tuple[int, ...]]) -> None:
        lengths = [math.prod(shape) for shape in shapes]
        ends = [*accumulate(length + length % 2 for length in lengths)]
        begins = [0, *ends[:-1]]
        self._host = np.zeros(ends[-1], np.int64)
        self._there = torch.zeros(ends[-1], dtype=torch.int64, device=device)
        self._fixed = begins[-1]
        each = list(zip(begins, lengths, shapes, strict=True))
        self.arrays = [self._host[begin : begin + length].reshape(shape) for begin, length, shape in each]
        self.there: list[Tensor] = [self._there[begin:end] for begin, end in zip(begins, ends, strict=True)]
        self.recorded = recording(device)

    def send(self) -> None:
        """Copies the arrays to the device; they may be changed right after the call."""
        if not self.recorded:
            self._there.copy_(at_rest(torch.from_numpy(self._host), self._there.device), non_blocking=True)
            return
        self._there.zero_()  # capture cannot record a copy from memory that may change, but records kernel arguments
        numbers, some = self._there[: self._fixed].unbind(), np.flatnonzero(self._host[: self._fixed]).tolist()
        torch._foreach_add_([numbers[i] for i in some], self._host[some].tolist())


_LAUNCHED: set[Any] = set()
"""(kernel, device) pairs of the kernels that are compiled and loaded."""


def at_rest(x: Tensor, device: torch.device) -> Tensor:
    """A pinned copy, which an asynchronous transfer may read at any time; the tensor itself for other than CUDA."""
    return x.pin_memory() if device.type == "cuda" else x


def recording(device: torch.device) -> bool:
    """Whether launches on the device are being captured in a CUDA graph."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


@lru_cache(maxsize=64)
def sent(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers on a device, int64, cached: capture cannot record the copy, so an earlier step must have made it."""
    refuse_recording(device)
    return torch.tensor(numbers, dtype=torch.int64, device=device)


@lru_cache(maxsize=64)
def _blocks(sizes: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """(row, first element, length) of each block, int64 `[blocks, 3]`, and each row's first block, `[rows + 1]`.

    No block spans two rows.
    """
    refuse_recording(device)
    each = np.array(sizes, np.int64)
    counts = -(-each // BLOCK)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    row = np.repeat(np.arange(len(each)), counts)
    first = (np.arange(len(row)) - bounds[row]) * BLOCK
    found = np.stack([row, first, np.minimum(BLOCK, each[row] - first)], axis=1).astype(np.int64)
    return torch.from_numpy(found).to(device), torch.from_numpy(bounds).to(device)


def refuse_from_the_cpu(device: torch.device) -> None:
    """Raises `InputError` during CUDA graph capture of a step whose row values come from the CPU."""
    if recording(device):
        raise InputError("A CUDA graph records an optimizer's step with capturable=True only: give it that.")


def refuse_recording(device: torch.device) -> None:
    """Raises `InputError` during CUDA graph capture."""
    if recording(device):
        raise InputError(
            "A CUDA graph cannot record the first step of its kind: take one before, with equal parameters and options."
        )
