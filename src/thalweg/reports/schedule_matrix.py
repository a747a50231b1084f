"""The matrix of optimizers and schedules: on the page, in the terminal and as data."""

from collections.abc import Sequence
from typing import Any

from thalweg.analysis.formatting import size
from thalweg.analysis.row import Row
from thalweg.analysis.schedules import ScheduleMatrix, schedule_matrix
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import matrix
from thalweg.reports.layout import titled
from thalweg.reports.markup import Markup, element
from thalweg.reports.rates import path, rates

WIDE, HIGH, POINTS = 112, 30, 96  # of a schedule's sketch, in pixels, and its points


def section(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Markup | None:
    """The page's section; `None` for a study of one schedule."""
    found = schedule_matrix(study, rows, runs)
    if found is None:
        return None
    table = matrix.table(study, found.matrix, "Optimizers by schedules", lambda s: sketch(study, s))
    note = matrix.note(study, rows, "a constant rate", "Sketches: the rate over a run, from 0 to its largest.")
    return titled("schedules", "Schedules", " ".join(told(study, found)), table, note)


def sketch(study: StudyRecord, schedule: str) -> Markup | None:
    """The rate over a run, as a share of its largest; `None` where it follows the metric or is a user's function."""
    values = rates(study, schedule, POINTS)
    if values is None:
        return None
    line = element("path", d=path(values, WIDE, HIGH - 2, 1), class_="ink", fill="none")
    return element("svg", line, class_="sketch", viewBox=f"0 0 {WIDE} {HIGH}", aria_hidden="true")


def told(study: StudyRecord, found: ScheduleMatrix) -> list[str]:
    """What the matrix says, in sentences: gains and losses beyond their intervals, and rankings that flip."""
    return matrix.told(study, found.matrix) + _flipped(study, found)


def _flipped(study: StudyRecord, found: ScheduleMatrix) -> list[str]:
    if found.flips:
        return [
            f"Under {flip.schedule}, {flip.first} leads {flip.second} by {size(study, flip.lead)} at half of the run,"
            f" and is behind by {size(study, flip.loss)} at its end."
            for flip in found.flips
        ]
    if len(found.matrix.optimizers) < 2:
        return []
    return ["No ranking flips between half of a run and its end, beyond the intervals."]


def lines(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> list[str]:
    """The matrix as lines of text, and what it says; empty for a study of one schedule."""
    found = schedule_matrix(study, rows, runs)
    return [] if found is None else [*matrix.lines(study, rows, found.matrix), *told(study, found)]


def facts(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> dict[str, Any] | None:
    """The matrix for `--json`; `None` for a study of one schedule."""
    found = schedule_matrix(study, rows, runs)
    if found is None:
        return None
    return {
        "cells": matrix.cells(found.matrix),
        "flips": [vars(flip) for flip in found.flips],
        "told": told(study, found),
    }
