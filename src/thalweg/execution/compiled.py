"""The compiled pass: every row in one call, on the CPU or on a GPU."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch

from thalweg.execution.cpu import passes as cpu
from thalweg.execution.dispatch import on_gpu, together
from thalweg.execution.gpu import passes as gpu
from thalweg.execution.reference import Elements, shares
from thalweg.execution.storage.dtypes import Storage, Streams
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.options import AGREEMENT
from thalweg.recipes.row_table import Array, table
from thalweg.recipes.trace import Program, trace, trace_agreement


class Pass(Protocol):
    """A step prepared for rows of fixed sizes and dtypes. The arrays below are filled in before each call.

    pointers: int64 `[streams, rows]`, the data pointers.
    which: int64 `[rows]`, the table line that each row uses; 0 by default.
    active: `[lines]`; rows of an inactive line are left unchanged. All are active by default.
    keys: int64 `[rows]`, from `rounding.keys`, for stochastic rounding.
    stochastic: whether anything is rounded stochastically.
    """

    pointers: Array
    which: Array
    active: Array
    keys: Array
    stochastic: bool

    @property
    def counts(self) -> Array:
        """Element counts of the last call, int64 `[rows]`, if the program counts."""

    def __call__(self, columns: Array) -> None:
        """Steps every row in place. `columns`: the table of row values, float64 `[lines or fewer, columns]`."""


def prepare(
    program: Program, device: torch.device, storage: Storage, sizes: Array, lines: int, *, stochastic: bool = False
) -> Pass:
    """Prepares a pass over rows on a device.

    storage: the dtypes of a row's streams. sizes: elements of each row. lines: the most that the table may have.
        stochastic: whether bfloat16 parameters and states are rounded stochastically.
    """
    rounded = storage[2:] if torch.int16 in storage else storage[1:]  # no gradient, no compensated parameter
    stochastic = stochastic and torch.bfloat16 in rounded
    if on_gpu(device):
        return gpu.GpuPass(program, device, storage, sizes, lines, stochastic=stochastic)
    return cpu.CpuPass(program, storage, sizes, lines, stochastic=stochastic)


def update(
    structure: StepVariant, rows: Sequence[Elements], which: Array, values: Mapping[str, Array]
) -> dict[str, Array]:
    """Steps every row in place; returns the new row states `[distinct]`. Each row must pass `dispatch.accepts`."""
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
    """Steps the rows; returns the count of each, int64 `[rows]`. keys: `[rows]`, for stochastic rounding."""
    counts = np.zeros(len(rows), np.int64)
    for (device, storage), index in together(rows):
        chosen = [rows[r] for r in index]
        sizes = np.array([row[1].numel() for row in chosen])
        step = prepare(program, device, storage, sizes, len(columns), stochastic=keys is not None)
        step.pointers[:] = np.array([[t.data_ptr() for t in row] for row in chosen], np.int64).T
        step.which[:] = which[index]
        if keys is not None:
            step.keys[:] = keys[index]
        step(columns)
        counts[index] = step.counts
    return counts
