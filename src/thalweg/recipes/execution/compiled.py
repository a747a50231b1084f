"""The compiled pass on the CPU: every row in one call, whatever its size, read and written once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.recipes.compose import Structure
from thalweg.recipes.execution import kernels
from thalweg.recipes.execution.addresses import PLAIN
from thalweg.recipes.execution.codes import BLOCK
from thalweg.recipes.execution.reference import Elements, shares
from thalweg.recipes.options import AGREEMENT
from thalweg.recipes.rows import Array, table
from thalweg.recipes.trace import Program, trace, trace_agreement

STORAGE: Mapping[torch.dtype, str] = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.int16: "int16",
    torch.uint8: "uint8",
}
"""What a row's tensors may be held in. float64 stands alone; the others mix, and are computed in float32.

int16 is for the rest of a bfloat16 parameter alone, uint8 for states in 8 bits.
"""

PARALLEL = 1 << 16  # elements from which several threads pay
PART = 1 << 15  # elements that a thread takes at once

Storage = tuple[torch.dtype, ...]
Streams = Sequence[Tensor]
"""One row's tensors: gradient, parameter, states, the rest of a compensated parameter, scales of states in 8 bits."""


def accepts(*tensors: Tensor) -> bool:
    """Whether the compiled pass can work on the memory of one row's tensors as it lies: CPU, dense, alike.

    A tensor of another class, such as one that is spread over machines, has no memory of its own.
    """
    if not {*map(type, tensors)} <= PLAIN or any(map(Tensor.is_neg, tensors)):
        return False
    dtypes = {t.dtype for t in tensors}
    known = dtypes <= STORAGE.keys() and (torch.float64 not in dtypes or len(dtypes) == 1)
    return known and all(t.device.type == "cpu" and t.layout == torch.strided for t in tensors) and _alike(tensors)


def _alike(tensors: Sequence[Tensor]) -> bool:
    """Whether each fills one contiguous stretch of memory, and all in the same order of dimensions."""
    first = tensors[0]
    if first.is_contiguous():
        return all(t.is_contiguous() for t in tensors)
    dense: bool = torch.empty_like(first).stride() == first.stride()
    return dense and all(t.stride() == first.stride() for t in tensors)


class Pass:
    """A step made ready for rows whose sizes and dtypes stay. What changes is filled in before each call.

    storage: the dtypes of a row's streams. sizes: elements of each row. lines: of the table, at most. by_chance:
        whether a bfloat16 parameter is rounded stochastically.

    pointers: int64 `[streams, rows]`, where each begins in memory.
    which: int64 `[rows]`, the table's line that each row uses; 0 unless filled in.
    active: bool `[lines]`; rows of a line that is not active are left as they are. All are unless filled in.
    keys: int64 `[rows]`, of `rounding.keys`, where it is by chance.
    counts: int64 `[rows]`, what a program that counts elements has found.
    """

    def __init__(
        self, program: Program, storage: Storage, sizes: Array, lines: int, *, by_chance: bool = False
    ) -> None:
        self.pointers = np.zeros((len(storage), len(sizes)), np.int64)
        self.which, self.active = np.zeros(len(sizes), np.int64), np.ones(lines, np.bool_)
        self.keys, self.counts = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.int64)
        rounded = storage[2:] if torch.int16 in storage else storage[1:]  # but for the gradient
        self.by_chance = by_chance and torch.bfloat16 in rounded
        self._kernel = kernels.kernel(program, tuple(STORAGE[dtype] for dtype in storage), by_chance=self.by_chance)
        self._table = np.empty((lines, len(program.columns)), np.float64 if torch.float64 in storage else np.float32)
        self._blocks, self._bounds = _cut(np.asarray(sizes, np.int64))
        self._parts = len(self._bounds) - 1
        self._counter = np.zeros(1, np.int64)
        arrays = [self._table, self.which, self.active, self.pointers, self._blocks, self._bounds]
        arrays += [self.keys, self.counts]
        counts = (self._parts, self._blocks.shape[1], len(sizes))
        codes = [kernels.codes().decode_block, kernels.codes().encode_block] if torch.uint8 in storage else []
        addresses = [*(array.ctypes.data for array in arrays), *(function.address for function in codes)]
        self._frame = np.array([self._counter.ctypes.data, *counts, *addresses], np.int64)
        self._arguments = self._frame.ctypes.data

    def __call__(self, columns: Array) -> None:
        """Steps every row in place. `columns`: the table of row values, float64 `[lines or fewer, columns]`."""
        self._table[: len(columns)] = columns
        self._counter[0], self.counts[:] = 0, 0
        self._kernel(self._arguments, min(torch.get_num_threads(), self._parts))


def _cut(sizes: Array) -> tuple[Array, Array]:
    """Rows in parts of PART elements: blocks (row, first element, length) `[3, blocks]`, and the parts' bounds.

    A block of 8-bit codes is in one part: a row is cut where one ends.
    """
    ends = np.concatenate([[0], np.cumsum(sizes)])
    part = PART if ends[-1] >= PARALLEL else max(1, ends[-1])
    cuts = np.arange(0, ends[-1], part)
    begins = ends[np.searchsorted(ends, cuts, "right") - 1]
    cuts = np.unique(np.append(begins + (cuts - begins) // BLOCK * BLOCK, ends[-1]))
    edges = np.unique(np.concatenate([ends, cuts]))
    row = np.searchsorted(ends, edges[:-1], "right") - 1
    return np.stack([row, edges[:-1] - ends[row], np.diff(edges)]), np.searchsorted(edges, cuts)


def update(
    structure: Structure, rows: Sequence[Elements], which: Array, values: Mapping[str, Array]
) -> dict[str, Array]:
    """Steps every row in place; returns the new row states `[distinct]`. `accepts` each row's tensors."""
    program = trace(structure)
    streams = [row.streams for row in rows]
    if AGREEMENT in program.measured:
        columns = table(counting := trace_agreement(structure), values)[0]
        values = {**values, AGREEMENT: shares(_carry_out(counting, streams, which, columns).tolist(), rows)}
    columns, after = table(program, values)
    chances = [row.key for row in rows if row.key is not None]
    _carry_out(program, streams, which, columns, np.array(chances, np.int64) if chances else None)
    return after


def _carry_out(
    program: Program, rows: Sequence[Streams], which: Array, columns: Array, keys: Array | None = None
) -> Array:
    """What is counted in each row. keys: of every row, where parameters are rounded by chance."""
    counts = np.zeros(len(rows), np.int64)
    for storage, index in by_storage(rows).items():
        chosen = [rows[r] for r in index]
        sizes = np.array([row[1].numel() for row in chosen])
        step = Pass(program, storage, sizes, len(columns), by_chance=keys is not None)
        step.pointers[:] = np.array([[t.data_ptr() for t in row] for row in chosen], np.int64).T
        step.which[:] = which[index]
        if keys is not None:
            step.keys[:] = keys[index]
        step(columns)
        counts[index] = step.counts
    return counts


def by_storage(rows: Sequence[Streams]) -> dict[Storage, Any]:
    """The indices of rows whose streams have the same dtypes."""
    found: dict[Storage, list[int]] = {}
    for r, row in enumerate(rows):
        found.setdefault(tuple(t.dtype for t in row), []).append(r)
    return {storage: np.array(index) for storage, index in found.items()}
