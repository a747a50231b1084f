"""Rows stepped by torch's operators, one at a time. Slow, allocates, always right.

bfloat16 and float16 are computed in float32 and rounded once, when stored (`rounding.py`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from thalweg.execution import driver
from thalweg.execution.elements import Elements
from thalweg.execution.lowering import stacked
from thalweg.execution.whole import call_rows, constrain_rows, with_transients
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.row_table import Array, table
from thalweg.recipes.stages import Stage
from thalweg.recipes.trace import trace


class ReferenceRows:
    """Rows of any layouts, devices and dtypes. Row values are NumPy arrays: `[rows]`, or one number for all."""

    def __init__(self, structure: StepVariant, rows: Sequence[Elements], row_dtype: torch.dtype | None = None) -> None:
        self._structure, self._program, self._row_dtype = structure, trace(structure), row_dtype
        self._rows = [with_transients(self._program, row) for row in rows]

    def table(self, stage: Stage, values: driver.Values) -> tuple[Array, dict[str, Array]]:
        return table(stage, values, self._row_dtype)

    def reduce(self, stage: Stage, columns: Array) -> dict[str, Array]:
        found: dict[str, list[float]] = {reduction.name: [] for reduction in stage.reductions}
        for row, line in self._lines(columns):
            measured = stacked.reduced(stage, line, _elements(stage, row))
            for reduction in stage.reductions:
                found[reduction.name].append(float(finished(reduction.op, measured[reduction.name][0], row)))
        each = {name: np.array(of) for name, of in found.items()}
        shared = {reduction.name for reduction in stage.reductions if reduction.shared}
        return {name: driver.joint_norm(of) if name in shared else of for name, of in each.items()}

    def call(self, stage: Stage, columns: Array) -> None:
        call_rows(self._program, stage, self._rows, columns)

    def update(self, stage: Stage, columns: Array) -> None:
        changed = {name for name, local in stage.outputs.items() if name != local}
        for row, line in self._lines(columns):
            new = stacked.updated(stage, line, _elements(stage, row))
            row.store(*(new[name][0] if name in changed else None for name in ("p", *stage.states)))

    def constrain(self, values: driver.Values) -> None:
        constrain_rows(self._structure, self._rows, values)

    @contextmanager
    def unrounded(self) -> Iterator[None]:
        stored, self._rows = self._rows, [row.in_float32 for row in self._rows]
        try:
            yield
            for row, copy in zip(stored, self._rows, strict=True):
                if copy is not row:
                    row.store_p(copy.p, row.key)
        finally:
            self._rows = stored

    def _lines(self, columns: Array) -> Iterator[tuple[Elements, Tensor]]:
        """Each row with its line of the table, `[1, columns]`."""
        lines = np.broadcast_to(columns, (len(self._rows), columns.shape[-1]))
        for row, line in zip(self._rows, lines, strict=True):
            p = row.wide_p
            yield row, torch.tensor(line[None], dtype=p.dtype, device=p.device)


def finished(op: str, measured: Tensor, row: Elements) -> Tensor:
    """A reduction over all shards of a row, from what `stacked.reduced` measures of this one."""
    if op == "mean":
        total = measured if row.shards is None else row.shards.total(measured)
        return total / row.size
    return measured if row.shards is None else row.shards.total(measured.square()).sqrt()


def _elements(stage: Stage, row: Elements) -> dict[str, Tensor]:
    return {name: x[None] for name, x in zip(("g", "p", *stage.states), row.wide, strict=True)}
