"""Check of a step's memory before each step, in one call through torch's C interface.

If that is missing, or disagrees with Python, the check runs in Python, which takes longer.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.execution import data_pointers
from thalweg.execution.cpu import kernels
from thalweg.execution.data_pointers import handles, has_memory, located, reach
from thalweg.execution.overlap import Stretches, stretch_of
from thalweg.recipes.row_table import Array

UNKNOWN = -1  # no address


class Memory:
    """Tensors that a step writes, whose layout and data pointers must not change, and tensors that it reads.

    The tensors read may be new ones each time, with the same device, dtype, shapes and strides, and with memory that
    does not overlap the written tensors.

    counts: one-element tensors that are also written. shared: whether any two written tensors overlap.
    """

    def __init__(self, written: Sequence[Tensor], read: Sequence[Tensor], counts: Sequence[Tensor] = ()) -> None:
        self._single_written = [tensor for tensor in written if tensor.numel() == 1]
        written = [*written, *counts]
        tensors = [*written, *read]
        self._written, self._kept = written, len(written)  # referenced, so that they stay alive
        self._single_read = [i for i, tensor in enumerate(read) if tensor.numel() == 1]
        self._looks, self._reaches = [*map(_look, tensors)], np.array([*map(reach, read)], np.int64)
        self._stretches = Stretches(map(stretch_of, written))
        self.shared = self._stretches.met
        self._addresses, self._handles = located(tensors), np.zeros(len(tensors), np.int64)
        self._begins, self._handles_read = self._addresses[self._kept :], self._handles[self._kept :]
        self._compiled, self._frame = kernels.addresses(), self._asked(tensors)
        self._argument: int = self._frame.ctypes.data
        self._check = self._compiled.alone
        self._in_c = self._learn(tensors)

    def begins(self, read: Sequence[Tensor]) -> Array | None:
        """Data pointers of the tensors read, int64 `[n]`, valid until the next call; `None` if any check fails.

        read: plain tensors, of the classes `data_pointers.PLAIN`.
        """
        if len(read) != len(self._begins):
            return None
        if self._single_read and any(read[i].is_neg() for i in self._single_read):
            return None  # lazily negated tensors have gaps in memory; with several elements, the strides show them
        if self._single_written and any(map(Tensor.is_neg, self._single_written)):
            return None
        if not self._in_c:
            return self._asked_in_python(read)
        handles(read, self._handles_read)
        self._check(self._argument)
        return None if self._frame[0] else self._begins

    def _asked(self, tensors: Sequence[Tensor]) -> Array:
        """The frame of `kernels.addresses`."""
        functions, looks = (
            data_pointers.functions(),
            np.zeros(sum(5 + 2 * tensor.dim() for tensor in tensors), np.int64),
        )
        at = 0
        for tensor in tensors:
            looks[at + 3], looks[at + 4] = tensor.element_size(), reach(tensor)
            at += 5 + 2 * tensor.dim()
        stretches, answers = self._stretches, np.zeros_like(functions)
        self._arrays = (functions, self._handles, self._addresses, looks, answers, stretches.begins, stretches.reached)
        numbers = (0, len(tensors), self._kept, len(stretches.begins), False)
        return np.array([*numbers, *(array.ctypes.data for array in self._arrays)], np.int64)

    def _learn(self, tensors: Sequence[Tensor]) -> bool:
        """Records the tensors' layouts. Returns whether the C interface agrees with Python."""
        if not (data_pointers.functions().all() and data_pointers.slot()):
            return False
        before = self._addresses.copy()
        handles(tensors, self._handles)
        self._frame[4] = True
        self._compiled(self._argument)
        self._frame[4] = False
        learnt = not self._frame[0] and bool((self._addresses == before).all())
        self._begins[:] = UNKNOWN  # so that the next call checks each for overlap with the written tensors
        return learnt

    def _asked_in_python(self, read: Sequence[Tensor]) -> Array | None:
        tensors = [*self._written, *read]
        if [*map(_look, tensors)] != self._looks:
            return None
        now = located(tensors)
        kept, begins = now[: self._kept], now[self._kept :]
        overlap = self._stretches.meet(begins, begins + self._reaches) & (self._reaches > 0)
        return None if overlap.any() or (kept != self._addresses[: self._kept]).any() else begins


def _look(tensor: Tensor) -> Any:
    if tensor.layout != torch.strided:
        return tensor.layout
    strides = [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size != 1]
    return tensor.device, tensor.dtype, tensor.shape, strides, has_memory(tensor)
