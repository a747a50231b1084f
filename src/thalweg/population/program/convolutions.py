"""Convolutions as matrix products: the input is unfolded into the windows of the kernel (im2col).

Stacking members turns a convolution into a grouped one, for which some kernels are slow. A matrix product never is, but
the windows take `kernel` times the input's memory. Which is faster depends on the model, so both are measured.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Padding = str | int | Sequence[int]


def has_convolutions(model: nn.Module) -> bool:
    """Whether the model has a layer that can be computed either way."""
    return any(isinstance(module, nn.Conv1d | nn.Conv2d) for module in model.modules())


class Unfolded(TorchFunctionMode):
    """Context that replaces `F.conv1d` and `F.conv2d` of one group on batches by `convolve`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.conv1d, torch.conv2d) and _covered(*args, **kwargs):
            return convolve(*args, **kwargs)
        return func(*args, **kwargs)


def _covered(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> bool:
    """Whether it is one group on a batch. Arguments that torch refuses go to torch, which says why."""
    dims = weight.ndim - 2
    if groups != 1 or input.ndim != weight.ndim or input.shape[1] != weight.shape[1]:
        return False
    return padding != "same" or all(s == 1 for s in _each(stride, dims))


def convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`input` `[batch, in, *size]` and `weight` `[out, in, *kernel]` → `[batch, out, *windows]`, as torch's.

    One product of `[out, in × kernel]` and `[in × kernel, batch × windows]`: batch and windows share an axis, so that a
    stack takes one product per member, and a batch that all members share is unfolded once.
    """
    kernel = weight.shape[2:]
    dims = len(kernel)
    dilations = _each(dilation, dims)
    padded = _pad(input, _padding(padding, kernel, dilations))
    windows = _windows(padded.transpose(0, 1), kernel, _each(stride, dims), dilations)
    products = weight.flatten(1) @ windows.flatten(0, 1).flatten(1)
    if bias is not None:
        products = products + bias[:, None]
    return products.view(len(weight), *windows.shape[2:]).transpose(0, 1)


def _windows(x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Tensor:
    """`x` `[in, batch, *size]` → `[in, kernel, batch, *windows]`: the inputs of each kernel element."""
    spatial = list(zip(x.shape[2:], kernel, strides, dilations, strict=True))
    counts = [(size - d * (k - 1) - 1) // s + 1 for size, k, s, d in spatial]

    def met_by(offsets: tuple[int, ...]) -> Tensor:
        steps = zip(offsets, counts, strides, dilations, strict=True)
        seen = [slice(o * d, o * d + (count - 1) * s + 1, s) for o, count, s, d in steps]
        return x[:, :, *seen]

    return torch.stack([met_by(offsets) for offsets in product(*map(range, kernel))], 1)


def _padding(padding: Padding, kernel: Sequence[int], dilations: Sequence[int]) -> list[tuple[int, int]]:
    """(before, after) per spatial dimension; torch's 'same' puts the odd element of a total after."""
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    if isinstance(padding, str):  # "valid"
        return [(0, 0)] * len(kernel)
    return [(p, p) for p in _each(padding, len(kernel))]


def _pad(x: Tensor, padding: Sequence[tuple[int, int]]) -> Tensor:
    if not any(map(any, padding)):
        return x
    return F.pad(x, [p for both in reversed(padding) for p in both])  # the last dimension first


def _each(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """One value per spatial dimension."""
    given = (value,) if isinstance(value, int) else tuple(value)
    return given * dims if len(given) == 1 else given
