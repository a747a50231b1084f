"""Rows whose tensors share memory, such as tied weights that became two parameters: never stepped at once."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import prod

import numpy as np
import torch
from torch import Tensor

from thalweg.execution.data_pointers import has_memory, reach
from thalweg.recipes.row_table import Array

MOST = 1 << 24  # elements whose offsets are enumerated

Stretch = tuple[int, int]
"""An address range: begin and end, in bytes."""


def tangled(tensors: Sequence[Tensor]) -> bool:
    """Whether any two of the tensors share memory."""
    return Stretches(map(stretch_of, tensors)).met


def batches(rows: Sequence[Sequence[Tensor]]) -> list[Array]:
    """Splits row indices, in order, into batches to step at once: no row writes memory that another of them touches.

    A row's first tensor, the gradient, is only read.
    """
    reads, writes = [stretch_of(row[0]) for row in rows], [[stretch_of(t) for t in row[1:]] for row in rows]
    written = Stretches(stretch for of_row in writes for stretch in of_row)
    if not (written.met or written.meet(*bounds(reads)).any()):
        return [np.arange(len(rows))]
    begins = [0, *_cuts(reads, writes), len(rows)]
    return [np.arange(a, b) for a, b in pairwise(begins)]


class Stretches:
    """Address ranges in ascending order of `begins`; `reached`: the furthest end up to each.

    met: whether any two overlap.
    """

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        begins, ends = bounds(list(stretches))
        order = np.argsort(begins)
        self.begins = begins[order]
        self.reached = np.maximum.accumulate(ends[order])
        self.met = bool((self.begins[1:] < self.reached[:-1]).any())

    def meet(self, begins: Array, ends: Array) -> Array:
        """Whether each of some other ranges overlaps one of these, bool `[n]`."""
        before = np.searchsorted(self.begins, ends)
        return (before > 0) & (np.append(self.reached, 0)[before - 1] > begins)


def bounds(stretches: Sequence[Stretch]) -> tuple[Array, Array]:
    """Begins and ends, int64 `[n]`, of the ranges that are not empty."""
    found = np.array([s for s in stretches if s[0] < s[1]], np.int64).reshape(-1, 2)
    return found[:, 0].copy(), found[:, 1].copy()


def stretch_of(tensor: Tensor) -> Stretch:
    """The address range of a tensor's elements; empty if it has no memory that could be shared."""
    if tensor.layout != torch.strided or not has_memory(tensor):
        return (0, 0)
    begin = tensor.data_ptr()
    return (begin, begin + reach(tensor))


def apart(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether no two elements of a strided tensor share memory; False for more than `MOST` that interleave."""
    dimensions = sorted((stride, size) for stride, size in zip(strides, shape, strict=True) if size > 1)
    if 0 in shape or not dimensions:
        return True
    reached = 0
    for stride, size in dimensions:
        if stride <= reached:
            few = prod(size for _, size in dimensions) <= MOST
            return dimensions[0][0] > 0 and few and _all_differ(dimensions)
        reached += stride * (size - 1)
    return True


def _all_differ(dimensions: Sequence[tuple[int, int]]) -> bool:
    """Whether all element offsets differ, by enumeration, for (stride, size) dimensions that interleave."""
    places = np.zeros(1, np.int64)
    for stride, size in dimensions:
        places = (places[:, None] + stride * np.arange(size)).ravel()
    return len(np.unique(places)) == len(places)


def _cuts(reads: Sequence[Stretch], writes: Sequence[Sequence[Stretch]]) -> list[int]:
    """The rows at which a new batch begins."""
    found, touched, written = [], _Merged(), _Merged()
    for i, (read, of_row) in enumerate(zip(reads, writes, strict=True)):
        if i and (written.meets(read) or any(map(touched.meets, of_row))):
            found.append(i)
            touched, written = _Merged(), _Merged()
        touched.add(read)
        for stretch in of_row:
            touched.add(stretch)
            written.add(stretch)
    return found


class _Merged:
    """A set of addresses, stored as ascending ranges that do not touch."""

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []

    def meets(self, stretch: Stretch) -> bool:
        begin, end = stretch
        before = bisect_left(self._begins, end)
        return begin < end and before > 0 and self._ends[before - 1] > begin

    def add(self, stretch: Stretch) -> None:
        begin, end = stretch
        first, last = bisect_left(self._ends, begin), bisect_left(self._begins, end)
        if begin < end:
            begin = min([begin, *self._begins[first : first + 1]])
            end = max([end, *self._ends[last - 1 : last]]) if last > first else end
            self._begins[first:last], self._ends[first:last] = [begin], [end]
