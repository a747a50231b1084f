"""User data as tensors: converts tensors, arrays, tables and lists, or refuses them in one sentence."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError, first_line

NUMBERS = "biufc"  # NumPy's numeric dtype kinds


def paired(name: str, data: Any) -> tuple[tuple[Tensor, ...], Tensor]:
    """(inputs, targets) of a split. Raises `InputError` unless they are dense tensors of finite numbers."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise InputError(f"{name} must be a pair (X, y) of tensors, got {kind(data)}.")
    # A list is data, as torch reads it: [[1, 2], [3, 4]] is two samples and not two inputs.
    several = isinstance(data[0], tuple)
    given = {f"X[{i}]": x for i, x in enumerate(data[0])} if several else {"X": data[0]}
    tensors = {part: _tensor(name, part, x) for part, x in {**given, "y": data[1]}.items()}
    for part, tensor in tensors.items():
        _require_finite(name, part, tensor)
    *inputs, targets = tensors.values()
    return tuple(inputs), targets


def kind(value: Any) -> str:
    """A value's class for an error message, with the length of a tuple or list."""
    length = f" of length {len(value)}" if isinstance(value, tuple | list) else ""
    return f"{type(value).__name__}{length}"


def _tensor(name: str, part: str, data: Any) -> Tensor:
    try:
        tensor = torch.as_tensor(_native(data)).detach()
    except Exception as error:  # the class of the data may raise anything
        raise InputError(f"{name} must hold tensors or arrays, got {kind(data)} ({first_line(error)}).") from None
    if tensor.ndim == 0:
        raise InputError(f"{name} must hold tensors of shape [samples, …], got a single number.")
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested or tensor.is_meta:
        raise InputError(f"{name}: {part} must be a dense tensor that holds its values; convert it with .to_dense().")
    if len(tensor) and not tensor.numel():
        raise InputError(
            f"{name}: {part} of shape {list(tensor.shape)} holds no values; give every sample at least one."
        )
    return tensor


def _native(data: Any) -> Any:
    """Arrays and tables as torch accepts them: without negative strides, in native byte order, writable."""
    if isinstance(data, Tensor) or not hasattr(data, "__array__"):
        return data
    array = np.asarray(data)
    if array.dtype.kind not in NUMBERS:
        raise TypeError(f"of dtype {array.dtype}: convert it to numbers")
    simple = array.flags.writeable and array.dtype.isnative and all(stride >= 0 for stride in array.strides)
    return array if simple else np.array(array, array.dtype.newbyteorder("="), order="C")


def _require_finite(name: str, part: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point() and not tensor.is_complex():
        return
    finite = torch.isfinite(tensor)
    if finite.all():
        return
    broken = (~finite).reshape(len(tensor), -1).any(1).nonzero()[:, 0]
    raise InputError(
        f"{name}: {part} holds NaN or infinity in {len(broken):,} of its {len(tensor):,} samples, first in sample"
        f" {int(broken[0])}; remove or replace them."
    )
