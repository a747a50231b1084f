"""The memory of many tensors, checked and located in one call through torch's C interface.

Where that is missing, or does not answer as Python does, the same is asked in Python, which takes longer.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.recipes.execution.cpu import kernels
from thalweg.recipes.rows import Array

PLAIN = {Tensor, torch.nn.Parameter}
"""Classes of tensors with memory of their own. One of another class may be spread over machines."""

LIBRARIES = ("lib/libtorch_cpu.so", "lib/libtorch_cpu.dylib", "lib/torch_cpu.dll")
ASKED = tuple(
    f"aoti_torch_get_{fact}"
    for fact in (
        "layout", "dtype", "device_type", "dim", "sizes", "strides", "storage_size", "storage_offset", "data_ptr",
    )
)  # fmt: skip
"""Functions of torch's C interface, of a tensor and where to write the answer."""


class Pinned:
    """Tensors that must stay as they are and where they are."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors, self._places = tensors, located(tensors)  # held, so that they stay alive
        self._seen = [*map(_look, tensors)]
        self._check = _Check(tensors, pinned=True)
        self._quick = self._check.learn(tensors)

    def changed(self) -> bool:
        """Whether any of them has another shape, layout, dtype or place now, or lost its memory."""
        if self._quick:
            return self._check.differ()
        return [*map(_look, self._tensors)] != self._seen or bool((located(self._tensors) != self._places).any())


class Like:
    """Tensors that may be others each time, but look the same: plain ones of these shapes, with memory."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._single = [i for i, tensor in enumerate(tensors) if tensor.numel() == 1]
        self._seen = [*map(_look, tensors)]
        self._check = _Check(tensors)
        self._quick = self._check.learn(tensors)

    def addresses(self, tensors: Sequence[Tensor]) -> Array | None:
        """Where each begins, int64 `[n]`, until the next call; `None` if one looks different or has no memory."""
        if len(tensors) != len(self._seen) or not {*map(type, tensors)} <= PLAIN:
            return None
        if any(tensors[i].is_neg() for i in self._single):  # others that are negated lazily have gaps in memory
            return None
        if not self._quick:
            return located(tensors) if [*map(_look, tensors)] == self._seen else None
        self._check.handles[:] = _handles(tensors)
        return None if self._check.differ() else self._check.addresses


class _Check:
    """The frame of `kernels.addresses("check")` for tensors like these."""

    def __init__(self, tensors: Sequence[Tensor], *, pinned: bool = False) -> None:
        n = len(tensors)
        self.handles, self.addresses = np.zeros(n, np.int64), np.zeros(n, np.int64)
        looks = np.zeros(sum(5 + 2 * tensor.dim() for tensor in tensors), np.int64)
        at = 0
        for tensor in tensors:
            looks[at + 3], looks[at + 4] = tensor.element_size(), reach(tensor)
            at += 5 + 2 * tensor.dim()
        self._arrays = (_functions(), self.handles, self.addresses, looks, np.zeros_like(_functions()))
        self._frame = np.array([0, n, *(array.ctypes.data for array in self._arrays), False, pinned], np.int64)
        self._argument = self._frame.ctypes.data

    def learn(self, tensors: Sequence[Tensor]) -> bool:
        """Takes note of how they look. Says whether the C interface answers as Python does."""
        if not (_functions().all() and _slot()):
            return False
        self.handles[:], self.addresses[:] = _handles(tensors), located(tensors)
        self._frame[-2] = True
        learnt = not self.differ()
        self._frame[-2] = False
        return learnt and bool((self.addresses == located(tensors)).all())

    def differ(self) -> bool:
        kernels.addresses("check")(self._argument)
        return bool(self._frame[0])


def reach(tensor: Tensor) -> int:
    """Bytes from the first element of a strided tensor to behind its last; 0 without elements."""
    if not tensor.numel():
        return 0
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (last + 1) * tensor.element_size()


def has_memory(tensor: Tensor) -> bool:
    """Whether every element of a strided tensor lies in memory that is there.

    A meta, fake, functionalized or lazily zero tensor has none, one whose storage was shrunk has too little.
    """
    try:
        storage, needed = tensor.untyped_storage(), reach(tensor)
        held = tensor.storage_offset() * tensor.element_size() + needed <= storage.nbytes()
        return held and (needed == 0 or tensor.data_ptr() != 0)
    except (RuntimeError, NotImplementedError):  # no storage, or one that may not be looked at
        return False


def located(tensors: Sequence[Tensor]) -> Array:
    """Where each begins in memory, int64 `[n]`."""
    return np.fromiter(map(Tensor.data_ptr, tensors), np.int64, len(tensors))


def _handles(tensors: Sequence[Tensor]) -> Array:
    """Where each Python object holds its tensor, int64 `[n]`: what torch's C interface takes."""
    handles: Array = np.fromiter(map(id, tensors), np.int64, len(tensors)) + _slot()
    return handles


@cache
def _slot() -> int:
    """Bytes from the beginning of a Python tensor to the pointer that `_cdata` tells; 0 where it is not found."""
    samples = (torch.empty(0), torch.nn.Parameter(torch.empty(0)))
    for offset in range(2 * ctypes.sizeof(ctypes.c_void_p), Tensor.__basicsize__, ctypes.sizeof(ctypes.c_void_p)):
        if all(ctypes.c_int64.from_address(id(tensor) + offset).value == tensor._cdata for tensor in samples):
            return offset
    return 0


def _look(tensor: Tensor) -> Any:
    if tensor.layout != torch.strided:
        return tensor.layout
    strides = [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size != 1]
    return tensor.device, tensor.dtype, tensor.shape, strides, has_memory(tensor)


@cache
def _functions() -> Array:
    """Where the functions that are asked begin, int64; zeros where torch does not have them."""
    root = Path(torch.__file__).parent
    for name in LIBRARIES:
        if (root / name).exists():
            library = ctypes.CDLL(str(root / name))
            if all(hasattr(library, name) for name in ASKED):
                return np.array([ctypes.cast(library[name], ctypes.c_void_p).value for name in ASKED])
    return np.zeros(len(ASKED), np.int64)
