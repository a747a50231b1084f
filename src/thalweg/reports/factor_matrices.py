"""The matrices of optimizers by regularizers and by models: on the page, in the terminal and as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.analysis.dimensions import MODELS, REGULARIZERS, Dimension, Matrix
from thalweg.analysis.dimensions import matrix as matrix_of
from thalweg.analysis.row import Row
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import matrix
from thalweg.reports.layout import titled
from thalweg.reports.markup import Markup


@dataclass(frozen=True)
class FactorMatrix:
    """The matrix of one factor. name: of its levels, also the section's. remark: what a reader has to know of them."""

    dimension: Dimension
    name: str
    remark: str

    def section(self, study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Markup | None:
        """The page's section; `None` for a study of one level."""
        found = matrix_of(study, rows, runs, self.dimension)
        if found is None:
            return None
        table = matrix.table(study, found, f"Optimizers by {self.name}")
        note = matrix.note(study, rows, found.dimension.base, self.remark)
        return titled(self.name, self.name.capitalize(), " ".join(self.told(study, found)), table, note)

    def told(self, study: StudyRecord, found: Matrix) -> list[str]:
        """What gains or loses beyond its interval, over optimizers and with each, in sentences."""
        single = matrix.told_by_optimizer(study, found)
        several = len(found.levels) > 1 and any(cell.gain is not None for cell in found.cells.values())
        none = [f"With no optimizer does a {self.dimension.factor} gain or lose beyond its interval."]
        return matrix.told(study, found) + single + (none if several and not single else [])

    def lines(self, study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> list[str]:
        """The matrix as lines of text, and what it says; empty for a study of one level."""
        found = matrix_of(study, rows, runs, self.dimension)
        return [] if found is None else [*matrix.gain_lines(study, rows, found), *self.told(study, found)]

    def facts(self, study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> dict[str, Any] | None:
        """The matrix for `--json`; `None` for a study of one level."""
        found = matrix_of(study, rows, runs, self.dimension)
        return None if found is None else {"cells": matrix.cells(found), "told": self.told(study, found)}


BY_REGULARIZER = FactorMatrix(
    REGULARIZERS,
    "regularizers",
    "Penalties are of weights, not of biases and norms; norms are those of each unit's incoming weights.",
)
BY_MODEL = FactorMatrix(MODELS, "models", "Models of one seed see the same batches.")
MATRICES = (BY_REGULARIZER, BY_MODEL)
