"""The matrix of optimizers and regularizers: on the page, in the terminal and as data."""

from collections.abc import Sequence
from typing import Any

from thalweg.analysis.dimensions import REGULARIZERS, Matrix
from thalweg.analysis.dimensions import matrix as matrix_of
from thalweg.analysis.row import Row
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import matrix
from thalweg.reports.layout import titled
from thalweg.reports.markup import Markup

OF_WEIGHTS = "Penalties are of weights, not of biases and norms; norms are those of each unit's incoming weights."


def section(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Markup | None:
    """The page's section; `None` for a study of one regularizer."""
    found = matrix_of(study, rows, runs, REGULARIZERS)
    if found is None:
        return None
    table = matrix.table(study, found, "Optimizers by regularizers")
    note = matrix.note(study, rows, "none", OF_WEIGHTS)
    return titled("regularizers", "Regularizers", " ".join(told(study, found)), table, note)


def told(study: StudyRecord, found: Matrix) -> list[str]:
    """What the matrix says, in sentences: gains and losses beyond their intervals, over optimizers and with each."""
    single = matrix.told_by_optimizer(study, found)
    several = len(found.levels) > 1 and any(cell.gain is not None for cell in found.cells.values())
    none = ["With no optimizer does a regularizer gain or lose beyond its interval."] if several and not single else []
    return matrix.told(study, found) + single + none


def lines(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> list[str]:
    """The matrix as lines of text, and what it says; empty for a study of one regularizer."""
    found = matrix_of(study, rows, runs, REGULARIZERS)
    return [] if found is None else [*matrix.gain_lines(study, rows, found), *told(study, found)]


def facts(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> dict[str, Any] | None:
    """The matrix for `--json`; `None` for a study of one regularizer."""
    found = matrix_of(study, rows, runs, REGULARIZERS)
    return None if found is None else {"cells": matrix.cells(found), "told": told(study, found)}
