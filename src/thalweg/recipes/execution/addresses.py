"""Where many tensors begin in memory, looked up in one call through torch's C interface, and not one by one in Python.

Where that is missing, or does not answer as Python does, the same is asked in Python, which takes longer.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from operator import attrgetter
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
    f"aoti_torch_get_{what}" for what in ("data_ptr", "layout", "device_type", "dtype", "dim", "sizes", "strides")
)
"""Functions of torch's C interface, of a tensor and where to write the answer."""

_handle = attrgetter("_cdata")


class Fixed:
    """Tensors that are to stay where they are."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors, self._found = tensors, _found(tensors)
        self._owners = [tensor.view_as(tensor) for tensor in tensors]  # each keeps what its handle stands for alive
        owned = all(owner._base is tensor for owner, tensor in zip(self._owners, tensors, strict=True))
        self._asked = _Asked(len(tensors))
        self._asked.handles[:], self._asked.addresses[:] = _handles(tensors), self._found
        self._quick = owned and bool(_functions().all()) and not self._asked("moved")

    def moved(self) -> bool:
        """Whether any of them begins elsewhere now."""
        if self._quick:
            return bool(self._asked("moved"))
        return bool((_found(self._tensors) != self._found).any())


class Like:
    """Tensors that may be others each time, but look the same: plain ones of these shapes and this kind of device."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._single = [i for i, tensor in enumerate(tensors) if tensor.numel() == 1]
        self._looks = [*map(_look, tensors)]
        self._asked = _Asked(len(tensors), sum(3 + 2 * tensor.dim() for tensor in tensors))
        self._quick = bool(_functions().all()) and self._learned(tensors)

    def _learned(self, tensors: Sequence[Tensor]) -> bool:
        self._asked.handles[:] = _handles(tensors)
        differ = self._asked("differ", learn=True)
        return not differ and bool((self._asked.addresses == _found(tensors)).all())

    def addresses(self, tensors: Sequence[Tensor]) -> Array | None:
        """Where each begins, int64 `[n]`, until the next call; `None` if one looks different."""
        if len(tensors) != len(self._looks) or not {*map(type, tensors)} <= PLAIN:
            return None
        if any(tensors[i].is_neg() for i in self._single):  # others that are negated lazily have gaps in memory
            return None
        if not self._quick:
            return _found(tensors) if [*map(_look, tensors)] == self._looks else None
        self._asked.handles[:] = _handles(tensors)
        return None if self._asked("differ") else self._asked.addresses


class _Asked:
    """The arrays of `kernels.addresses`, for `n` tensors with so many numbers in their layouts."""

    def __init__(self, n: int, layouts: int = 0) -> None:
        self.handles, self.addresses = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._arrays = (
            _functions(),
            self.handles,
            self.addresses,
            np.zeros(layouts, np.int64),
            np.zeros_like(_functions()),
        )
        self._frame = np.array([0, n, *(array.ctypes.data for array in self._arrays), False], np.int64)
        self._argument = self._frame.ctypes.data

    def __call__(self, question: str, *, learn: bool = False) -> int:
        self._frame[-1] = learn
        kernels.addresses(question)(self._argument)
        return int(self._frame[0])


def _handles(tensors: Sequence[Tensor]) -> Array:
    return np.fromiter(map(_handle, tensors), np.int64, len(tensors))


def _found(tensors: Sequence[Tensor]) -> Array:
    return np.fromiter(map(Tensor.data_ptr, tensors), np.int64, len(tensors))


def _look(tensor: Tensor) -> Any:
    if tensor.layout != torch.strided:
        return tensor.layout
    strides = [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]
    return tensor.device, tensor.dtype, tensor.shape, strides


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
