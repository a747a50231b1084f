"""Places in memory that a native program reads and writes: strided views of blocks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

TYPES = (torch.float32, torch.float64, torch.int64, torch.bool)


class Unsupported(Exception):  # noqa: N818 - not an error: today's executor trains such a model
    """What has no native form, as a clause."""


class Access(NamedTuple):
    """A place as loops read it: offset and strides in elements, one stride for each dimension of the loops."""

    block: str
    dtype: torch.dtype
    offset: int
    strides: tuple[int, ...]


class Place(NamedTuple):
    """A view of a block. layout: a tensor without memory, whose shape, strides and offset are the view's."""

    block: str
    layout: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.layout.shape)

    @property
    def offset(self) -> int:
        """Elements from the block's begin."""
        return int(self.layout.storage_offset())

    @property
    def dtype(self) -> torch.dtype:
        return self.layout.dtype

    def seen(self, operation: Any, *args: Any) -> "Place":
        """The place of a view. Raises `RuntimeError` where the strides allow none."""
        return Place(self.block, operation(self.layout, *args))

    def access(self, shape: Sequence[int]) -> Access:
        """How loops over this shape read it, broadcast."""
        wide = self.layout.expand(list(shape))
        sizes = zip(wide.stride(), wide.shape, strict=True)
        return Access(self.block, self.dtype, self.offset, tuple(s if n > 1 else 0 for s, n in sizes))


def dense(block: str, shape: Sequence[int], dtype: torch.dtype, strides: Sequence[int] | None = None) -> Place:
    """A whole block, with contiguous strides unless others are given. Raises `Unsupported` for other dtypes."""
    if dtype not in TYPES:
        raise Unsupported(f"it computes in {str(dtype).removeprefix('torch.')}")
    if strides is None:
        return Place(block, torch.empty(tuple(shape), dtype=dtype, device="meta"))
    return Place(block, torch.empty_strided(tuple(shape), tuple(strides), dtype=dtype, device="meta"))
