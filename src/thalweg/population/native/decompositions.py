"""Operations in terms of simpler ones, where torch's own decompositions do not take them apart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

aten, prims = torch.ops.aten, torch.ops.prims
Sizes = int | Sequence[int]


def _sum(x: Tensor, dims: Sequence[int] | None, *, output_dtype: torch.dtype | None = None) -> Tensor:
    return torch.sum(x, [*range(x.ndim)] if dims is None else [*dims], dtype=output_dtype)


def _mean(x: Tensor, dims: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    dims = [*range(x.ndim)] if not dims else [dims] if isinstance(dims, int) else [*dims]
    return torch.sum(x, dims, keepdim, dtype=dtype) / _count(x, dims)


def _variance(x: Tensor, dims: Sequence[int] | None, correction: float | None = 1, **_: Any) -> Tensor:
    return _variance_of(x, dims, correction=correction)


def _variance_of(x: Tensor, dims: Any = None, *, correction: float | None = 1, keepdim: bool = False) -> Tensor:
    dims = [*range(x.ndim)] if not dims else [dims] if isinstance(dims, int) else [*dims]
    count = _count(x, dims)
    left = x - torch.sum(x, dims, keepdim=True) / count
    return torch.sum(left * left, dims, keepdim) / max(0.0, count - (1 if correction is None else correction))


def _count(x: Tensor, dims: Sequence[int]) -> int:
    count = 1
    for dim in dims:
        count *= x.shape[dim]
    return count


def _broadcast(x: Tensor, shape: Sequence[int], dims: Sequence[int]) -> Tensor:
    sizes = [x.shape[dims.index(d)] if d in dims else 1 for d in range(len(shape))]
    return x.reshape(sizes).expand(*shape)


def _max_pool(
    x: Tensor, kernel: Sizes, stride: Sizes = (), padding: Sizes = 0, dilation: Sizes = 1, ceil_mode: bool = False
) -> Any:
    """Values and the places of the first largest element of each window, NaN before all."""
    if ceil_mode or x.ndim != 4:
        return NotImplemented
    pads, dilations, width = _pair(padding), _pair(dilation), x.shape[3]
    padded = F.pad(x, [pads[1], pads[1], pads[0], pads[0]], value=-torch.inf) if any(pads) else x
    best, place = None, None
    for (i, j), (rows, columns), values in _windows(padded, _pair(kernel), _pair(stride or kernel), dilations):
        if best is None or place is None:
            best, place = torch.full_like(values, -torch.inf), _first(rows, columns, pads, dilations, width)
            place = place.expand(values.shape)
        here = (rows + (i - pads[0]))[:, None] * width + (columns + (j - pads[1]))
        takes = (values > best) | (values != values)
        best, place = torch.where(takes, values, best), torch.where(takes, here.expand(values.shape), place)
    return best, place


def _first(rows: Tensor, columns: Tensor, pads: Sequence[int], dilations: Sequence[int], width: int) -> Tensor:
    """The places of the first elements of windows that are no padding."""

    def inside(firsts: Tensor, pad: int, step: int) -> Tensor:
        at = firsts - pad
        for k in range(1, pad + 1):
            at = torch.where(at < 0, firsts - pad + k * step, at)
        return at

    return inside(rows, pads[0], dilations[0])[:, None] * width + inside(columns, pads[1], dilations[1])


def _windows(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[tuple[int, int], tuple[Tensor, Tensor], Tensor]]:
    """For each element of the kernel: its offsets, the first row and column of each window, and the elements there."""
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)]
    firsts = [torch.arange(n) * s for n, s in zip(counts, stride, strict=True)]
    for at in product(*map(range, kernel)):
        i, j = (a * d for a, d in zip(at, dilation, strict=True))
        rows, columns = (slice(o, o + (n - 1) * s + 1, s) for o, n, s in zip((i, j), counts, stride, strict=True))
        yield (i, j), (firsts[0], firsts[1]), x[:, :, rows, columns]


def _max_pool_backward(
    gradient: Tensor, x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, places: Tensor
) -> Any:
    if ceil_mode or x.ndim != 4:
        return NotImplemented
    zeros = torch.zeros(*x.shape[:2], x.shape[2] * x.shape[3], dtype=x.dtype)
    return zeros.scatter_add(2, places.flatten(2), gradient.flatten(2)).view(x.shape)


def _average_pool(
    x: Tensor, kernel: Sizes, stride: Sizes = (), padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    if ceil_mode or x.ndim != 4 or (any(_pair(padding)) and not count_include_pad):
        return NotImplemented
    pads, size = _pair(padding), _pair(kernel)
    padded = F.pad(x, [pads[1], pads[1], pads[0], pads[0]]) if any(pads) else x
    total = sum(values for *_, values in _windows(padded, size, _pair(stride or kernel), (1, 1)))
    return total / (divisor_override or size[0] * size[1])


def _average_pool_backward(
    gradient: Tensor, x: Tensor, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
    divisor_override: int | None = None,
) -> Any:  # fmt: skip
    if ceil_mode or x.ndim != 4 or (any(_pair(padding)) and not count_include_pad):
        return NotImplemented
    pads, size, steps = _pair(padding), _pair(kernel), _pair(stride or kernel)
    each = gradient / (divisor_override or size[0] * size[1])
    whole = torch.zeros(*x.shape[:2], x.shape[2] + 2 * pads[0], x.shape[3] + 2 * pads[1], dtype=x.dtype)
    for at in product(*map(range, size)):
        part = each
        for dim, (o, n, s) in enumerate(zip(at, gradient.shape[2:], steps, strict=True), 2):
            zeros = torch.zeros(*part.shape[:dim], whole.shape[dim], *part.shape[dim + 1 :], dtype=x.dtype)
            part = torch.slice_scatter(zeros, part, dim, o, o + (n - 1) * s + 1, s)
        whole = whole + part
    return whole[:, :, pads[0] : pads[0] + x.shape[2], pads[1] : pads[1] + x.shape[3]]


def _adaptive_pool(x: Tensor, sizes: Sequence[int]) -> Any:
    """Means of equal parts."""
    if any(n % k for n, k in zip(x.shape[-2:], sizes, strict=True)):
        return NotImplemented
    (h, w), (rows, columns) = x.shape[-2:], sizes
    parts = x.reshape(*x.shape[:-2], rows, h // rows, columns, w // columns)
    return parts.sum((-3, -1)) / (h // rows * (w // columns))


def _adaptive_pool_backward(gradient: Tensor, x: Tensor) -> Any:
    (h, w), (rows, columns) = x.shape[-2:], gradient.shape[-2:]
    if h % rows or w % columns:
        return NotImplemented
    each = gradient[..., :, None, :, None] / (h // rows * (w // columns))
    return each.expand(*x.shape[:-2], rows, h // rows, columns, w // columns).reshape(x.shape)


def _split(x: Tensor, size: int, dim: int = 0) -> list[Tensor]:
    whole = x.shape[dim]
    return [x.narrow(dim, start, min(size, whole - start)) for start in range(0, whole, size)]


def _split_with_sizes(x: Tensor, sizes: Sequence[int], dim: int = 0) -> list[Tensor]:
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [x.narrow(dim, start, size) for start, size in zip(starts, sizes, strict=True)]


def _unbind(x: Tensor, dim: int = 0) -> list[Tensor]:
    return [x.select(dim, i) for i in range(x.shape[dim])]


def _repeat(x: Tensor, repeats: Sequence[int]) -> Tensor:
    sizes = [*[1] * (len(repeats) - x.ndim), *x.shape]
    spread = x.reshape([n for size in sizes for n in (1, size)])
    wide = spread.expand([n for r, size in zip(repeats, sizes, strict=True) for n in (r, size)])
    return wide.reshape([r * size for r, size in zip(repeats, sizes, strict=True)])


def _flip(x: Tensor, dims: Sequence[int]) -> Tensor:
    for dim in dims:
        x = torch.index_select(x, dim, x.shape[dim] - 1 - torch.arange(x.shape[dim]))
    return x


def _pair(sizes: Sizes) -> tuple[int, int]:
    given = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return (given[0], given[-1])


OWN: Mapping[Any, Callable[..., Any]] = {
    prims.var.default: _variance,
    prims.sum.default: _sum,
    prims.broadcast_in_dim.default: _broadcast,
    aten.mean.dim: _mean,
    aten.mean.default: _mean,
    aten.var.correction: _variance_of,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.max_pool2d_with_indices_backward.default: _max_pool_backward,
    aten._adaptive_avg_pool2d.default: _adaptive_pool,
    aten._adaptive_avg_pool2d_backward.default: _adaptive_pool_backward,
    aten.repeat.default: _repeat,
    aten.split.Tensor: _split,
    aten.split_with_sizes.default: _split_with_sizes,
    aten.unbind.int: _unbind,
    aten.flip.default: _flip,
    aten.avg_pool2d.default: _average_pool,
    aten.avg_pool2d_backward.default: _average_pool_backward,
}
