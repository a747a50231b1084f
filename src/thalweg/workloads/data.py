"""User data as tensors: converts tensors, arrays, tables and lists, or refuses them in one sentence."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError, first_line
from thalweg.workloads.layout import Layout, divided

NUMBERS = "biufc"  # NumPy's numeric dtype kinds


class Pairs:
    """Base of what unpacks as a pair `X, y`: a table, a folder of images."""

    inputs: Tensor
    targets: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.inputs, self.targets))

    def inputs_by(self, rows: Tensor) -> Tensor:
        """The inputs of all samples, prepared by the samples at `rows` alone, which are those to train on."""
        return self.inputs


def paired(name: str, data: Any, *, step: bool = False) -> tuple[tuple[Tensor, ...], Tensor, Layout]:
    """(inputs and further targets, first targets, layout) of a split or a batch, as `layout.divided` reads it.

    Raises `InputError` unless they are dense tensors of finite numbers.
    """
    inputs, targets, layout = divided(name, data, step=step)
    given = dict(zip(_named(layout, len(inputs)), inputs, strict=True))
    tensors = {part: _tensor(name, part, x) for part, x in {**given, layout.target or "y": targets}.items()}
    for part, tensor in tensors.items():
        _require_finite(name, part, tensor)
    *others, first = tensors.values()
    return tuple(others), first, layout


def _named(layout: Layout, count: int) -> list[str]:
    """How messages call the inputs, and the targets beside the first."""
    if layout.names:
        inputs = [f"X[{name!r}]" for name in layout.names]
    else:
        inputs = ["X"] if layout.inputs == 1 else [f"X[{i}]" for i in range(layout.inputs)]
    return inputs + [f"y[{i}]" for i in range(1, 1 + count - layout.inputs)]


def kind(value: Any) -> str:
    """A value's class for an error message, with the length of a tuple or list."""
    length = f" of length {len(value)}" if isinstance(value, tuple | list) else ""
    return f"{type(value).__name__}{length}"


def _tensor(name: str, part: str, data: Any) -> Tensor:
    if _is_text(data):
        raise InputError(
            f"{name}: {part} holds texts: number them, classes from 0 (thalweg.table does so with a table's), or leave"
            " them out of the samples."
        )
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


def _is_text(data: Any) -> bool:
    """Whether these are texts, alone or in a list, as collating makes of texts."""
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return isinstance(data, str | bytes)


def _native(data: Any) -> Any:
    """Arrays and tables as torch accepts them: without negative strides, in native byte order, writable."""
    if isinstance(data, Tensor) or not hasattr(data, "__array__"):
        return data
    array = np.asarray(data)
    if array.dtype.kind not in NUMBERS:
        raise TypeError(f"of dtype {array.dtype}: convert it to numbers; thalweg.table does so with texts")
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
