"""Data pointers of tensors, from Python and from torch's C interface."""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from thalweg.recipes.row_table import Array

PLAIN = {Tensor, torch.nn.Parameter}
"""Tensor classes with storage of their own; a tensor of another class may be sharded."""

LIBRARIES = ("lib/libtorch_cpu.so", "lib/libtorch_cpu.dylib", "lib/torch_cpu.dll")
ASKED = tuple(
    f"aoti_torch_get_{fact}"
    for fact in (
        "layout", "dtype", "device_type", "dim", "sizes", "strides", "storage_size", "storage_offset", "data_ptr",
    )
)  # fmt: skip
"""Functions of torch's C interface; arguments are a tensor handle and the address to write the answer to."""


def reach(tensor: Tensor) -> int:
    """Bytes from the first element of a strided tensor to the end of its last; 0 without elements."""
    if not tensor.numel():
        return 0
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (last + 1) * tensor.element_size()


def has_memory(tensor: Tensor) -> bool:
    """Whether every element of a strided tensor lies in allocated memory.

    A meta, fake, functionalized or lazily zero tensor has none; one whose storage was shrunk has too little.
    """
    try:
        storage, needed = tensor.untyped_storage(), reach(tensor)
        held = tensor.storage_offset() * tensor.element_size() + needed <= storage.nbytes()
        return held and (needed == 0 or tensor.data_ptr() != 0)
    except (RuntimeError, NotImplementedError):  # no storage, or one that may not be accessed
        return False


def located(tensors: Sequence[Tensor]) -> Array:
    """The tensors' data pointers, int64 `[n]`."""
    return np.fromiter(map(Tensor.data_ptr, tensors), np.int64, len(tensors))


def handles(tensors: Sequence[Tensor], out: Array) -> None:
    """Writes the tensors' handles in torch's C interface: the address of the C++ tensor in each Python object."""
    np.add(np.fromiter(map(id, tensors), np.int64, len(tensors)), slot(), out=out)


@cache
def slot() -> int:
    """Byte offset, in a Python tensor object, of the pointer that `_cdata` returns; 0 if it is not found."""
    samples = (torch.empty(0), torch.nn.Parameter(torch.empty(0)))
    for offset in range(2 * ctypes.sizeof(ctypes.c_void_p), Tensor.__basicsize__, ctypes.sizeof(ctypes.c_void_p)):
        if all(ctypes.c_int64.from_address(id(tensor) + offset).value == tensor._cdata for tensor in samples):
            return offset
    return 0


@cache
def functions() -> Array:
    """Addresses of the functions in `ASKED`, int64; zeros if torch lacks them."""
    root = Path(torch.__file__).parent
    for name in LIBRARIES:
        if (root / name).exists():
            library = ctypes.CDLL(str(root / name))
            if all(hasattr(library, name) for name in ASKED):
                return np.array([ctypes.cast(library[name], ctypes.c_void_p).value for name in ASKED])
    return np.zeros(len(ASKED), np.int64)
