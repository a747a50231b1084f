"""A pass over rows on the CPU: all in one call, whatever their sizes, every element read and written once."""

import numpy as np
import torch

from thalweg.execution.cpu import kernels
from thalweg.execution.storage.codebook import BLOCK
from thalweg.execution.storage.dtypes import STORAGE, Storage
from thalweg.recipes.row_table import Array
from thalweg.recipes.trace import Program

PARALLEL = 1 << 16  # elements from which multithreading pays
PART = 1 << 15  # elements that a thread takes at once


class CpuPass:
    """A step prepared for rows of fixed sizes and dtypes. The arrays but `counts` are filled in before each call.

    storage: the dtypes of a row's streams. sizes: elements of each row. lines: the most that the table may have.
        stochastic: whether bfloat16 parameters and states are rounded stochastically.

    pointers: int64 `[streams, rows]`, the data pointers.
    which: int64 `[rows]`, the table line that each row uses; 0 by default.
    active: bool `[lines]`; rows of an inactive line are left unchanged. All are active by default.
    keys: int64 `[rows]`, from `rounding.keys`, for stochastic rounding.
    counts: int64 `[rows]`, the element counts of the last call, if the program counts.
    """

    def __init__(
        self, program: Program, storage: Storage, sizes: Array, lines: int, *, stochastic: bool = False
    ) -> None:
        self.pointers = np.zeros((len(storage), len(sizes)), np.int64)
        self.which, self.active = np.zeros(len(sizes), np.int64), np.ones(lines, np.bool_)
        self.keys, self.counts = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.int64)
        self.stochastic, self._counting = stochastic, bool(program.counted)
        self._kernel = kernels.kernel(program, tuple(STORAGE[dtype] for dtype in storage), stochastic=self.stochastic)
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
        self._counter[0] = 0
        if self._counting:
            self.counts[:] = 0
        self._kernel(self._arguments, min(torch.get_num_threads(), self._parts))


def _cut(sizes: Array) -> tuple[Array, Array]:
    """Splits rows into parts of PART elements: blocks (row, first element, length) `[3, blocks]`, and parts' bounds.

    A row is cut only where a block of 8-bit codes ends, so that no such block spans two parts.
    """
    ends = np.concatenate([[0], np.cumsum(sizes)])
    part = PART if ends[-1] >= PARALLEL else max(1, ends[-1])
    cuts = np.arange(0, ends[-1], part)
    begins = ends[np.searchsorted(ends, cuts, "right") - 1]
    cuts = np.unique(np.append(begins + (cuts - begins) // BLOCK * BLOCK, ends[-1]))
    edges = np.unique(np.concatenate([ends, cuts]))
    row = np.searchsorted(ends, edges[:-1], "right") - 1
    return np.stack([row, edges[:-1] - ends[row], np.diff(edges)]), np.searchsorted(edges, cuts)
