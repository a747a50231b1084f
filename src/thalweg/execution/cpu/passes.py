"""A pass over rows on the CPU: all in one call, whatever their sizes, every element read and written once."""

import numpy as np
import torch

from thalweg.execution.cpu import kernels
from thalweg.execution.storage.codebook import BLOCK
from thalweg.execution.storage.dtypes import STORAGE, Storage
from thalweg.recipes.row_table import Array
from thalweg.recipes.stages import Stage

PARALLEL = 1 << 16  # elements from which multithreading pays
PART = 1 << 15  # elements that a thread takes at once


class CpuPass:
    """A stage prepared for rows of fixed sizes and dtypes. The arrays are filled in before each call.

    storage: the dtypes of a row's streams. sizes: elements of each row. lines: the most that the table may have.
        stochastic: whether bfloat16 parameters and states are rounded stochastically.

    pointers: int64 `[streams, rows]`, the data pointers.
    which: int64 `[rows]`, the table line that each row uses; 0 by default.
    active: bool `[rows]`; an inactive row is left unchanged. All are active by default.
    keys: int64 `[rows]`, from `rounding.keys`, for stochastic rounding.
    """

    def __init__(self, stage: Stage, storage: Storage, sizes: Array, lines: int, *, stochastic: bool = False) -> None:
        rows, sizes = len(sizes), np.asarray(sizes, np.int64)
        self.pointers = np.zeros((len(storage), rows), np.int64)
        self.which, self.active, self.keys = np.zeros(rows, np.int64), np.ones(rows, np.bool_), np.zeros(rows, np.int64)
        self.stochastic, self._reductions = stochastic, stage.reductions
        self._kernel = kernels.kernel(stage, tuple(STORAGE[dtype] for dtype in storage), stochastic=self.stochastic)
        self._table = np.empty((lines, len(stage.columns)), np.float64 if torch.float64 in storage else np.float32)
        self._blocks, self._bounds = _by_rows(sizes) if stage.reductions else _cut(sizes)
        self._parts = len(self._bounds) - 1
        self._partials = np.zeros((len(stage.reductions), self._blocks.shape[1]))
        self._counter = np.zeros(1, np.int64)
        arrays = [self._table, self.which, self.active, self.pointers, self._blocks, self._bounds]
        arrays += [self.keys, self._partials]
        counts = (self._parts, self._blocks.shape[1], rows)
        codes = [kernels.codes().decode_block, kernels.codes().encode_block] if torch.uint8 in storage else []
        addresses = [*(array.ctypes.data for array in arrays), *(function.address for function in codes)]
        self._frame = np.array([self._counter.ctypes.data, *counts, *addresses], np.int64)
        self._arguments: int = self._frame.ctypes.data
        self._alone = self._kernel.alone

    @property
    def frame_address(self) -> int:
        """The address of the kernel's frame, for native code that calls it at `function_address` in one thread."""
        return self._arguments

    @property
    def table_address(self) -> int:
        return self._table.ctypes.data

    @property
    def lines(self) -> int:
        """The most that the table may have."""
        return len(self._table)

    @property
    def measures(self) -> dict[str, int]:
        """What the last call's partial sums lie in: `blocks`, their number; addresses of `partials` and `owners`."""
        count = self._blocks.shape[1]
        return {"blocks": count, "partials": self._partials.ctypes.data, "owners": self._blocks.ctypes.data}

    @property
    def function_address(self) -> int:
        return self._kernel.address

    def __call__(self, columns: Array) -> None:
        """Passes over every row, in place. `columns`: the table of row values, float64 `[lines or fewer, columns]`."""
        self._table[: len(columns)] = columns
        self._counter[0] = 0
        if self._parts == 1:
            self._alone(self._arguments)
        else:
            self._kernel(self._arguments, min(torch.get_num_threads(), self._parts))

    def sums(self) -> Array:
        """Each row's sums of the last call, float64 `[reductions, rows]`: of squares, for a norm."""
        rows = len(self.which)
        found = np.zeros((len(self._reductions), rows))
        for j, of in enumerate(self._partials):
            found[j] = np.bincount(self._blocks[0], of, rows)
        return np.where(self.active, found, 0.0)


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


def _by_rows(sizes: Array) -> tuple[Array, Array]:
    """As `_cut`, with blocks that depend on their own row only, so that a row's sums do, too."""
    each = -(-sizes // PART)
    row = np.repeat(np.arange(len(sizes)), each)
    first = (np.arange(len(row)) - np.repeat(np.cumsum(each) - each, each)) * PART
    blocks = np.stack([row, first, np.minimum(PART, sizes[row] - first)])
    ends = np.cumsum(blocks[2])
    part = PART if sizes.sum() >= PARALLEL else max(1, sizes.sum())
    bounds = np.unique(np.searchsorted(ends, np.arange(part, ends[-1] if len(ends) else 0, part)) + 1)
    return blocks, np.unique(np.concatenate([[0], bounds, [len(row)]]))
