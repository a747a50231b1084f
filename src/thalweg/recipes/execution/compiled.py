"""The compiled pass on the CPU: every row in one call, whatever its size, read and written once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.recipes.compose import Structure
from thalweg.recipes.execution.kernels import kernel
from thalweg.recipes.execution.reference import Elements
from thalweg.recipes.rows import Array, table
from thalweg.recipes.trace import trace

DTYPES: Mapping[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}
BLOCK = 1 << 15  # elements a thread takes at once
PARALLEL = 1 << 18  # elements from which several threads pay


def accepts(tensor: Tensor) -> bool:
    """Whether the compiled pass can work on this tensor's memory as it lies: CPU, float32 or float64, dense."""
    return (
        tensor.device.type == "cpu" and tensor.dtype in DTYPES and tensor.layout == torch.strided and is_dense(tensor)
    )


def is_dense(tensor: Tensor) -> bool:
    """Whether the tensor's elements fill one contiguous stretch of memory, in whatever order of dimensions."""
    return tensor.is_contiguous() or torch.empty_like(tensor).stride() == tensor.stride()


def update(
    structure: Structure, rows: Sequence[Elements], which: Array, values: Mapping[str, Array]
) -> dict[str, Array]:
    """Steps every row in place; returns the new row states `[distinct]`.

    All tensors have one dtype that `accepts` takes, and a row's tensors have one memory layout.
    """
    program = trace(structure)
    dtype = DTYPES[rows[0].p.dtype]
    columns, after = table(program, values)
    pointers = np.array([_addresses(row) for row in rows], np.int64).T
    sizes = np.array([row.p.numel() for row in rows], np.int64)
    threads = torch.get_num_threads()
    parallel = threads > 1 and int(sizes.sum()) >= PARALLEL
    if parallel:
        which, pointers, sizes = _split(which, pointers, sizes, dtype.itemsize)
        _use_threads(threads)
    active = np.ones(len(columns), np.bool_)
    kernel(program, dtype.name, parallel=parallel)(columns.astype(dtype), which, active, pointers, sizes)
    return after


def _addresses(row: Elements) -> tuple[int, ...]:
    return row.g.data_ptr(), row.p.data_ptr(), *(s.data_ptr() for s in row.states)


def _split(which: Array, pointers: Array, sizes: Array, itemsize: int) -> tuple[Array, Array, Array]:
    """Rows cut into blocks of at most BLOCK elements."""
    counts = -(-sizes // BLOCK)
    row = np.repeat(np.arange(len(sizes)), counts)
    start = (np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)) * BLOCK
    return which[row], pointers[:, row] + start * itemsize, np.minimum(sizes[row] - start, BLOCK)


def _use_threads(count: int) -> None:
    import numba
    from numba.core import config

    config.THREADING_LAYER = "omp"  # type: ignore[attr-defined]  # the layer that shares cores with torch's own threads
    numba.set_num_threads(min(count, config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
