"""The matrix of optimizers and schedules: on the page, in the terminal and as data."""

from collections.abc import Sequence
from typing import Any

from thalweg.analysis.formatting import is_percent, metric_name, number, size
from thalweg.analysis.intervals import Interval
from thalweg.analysis.row import Row
from thalweg.analysis.schedules import CONSTANT, ScheduleMatrix, schedule_matrix
from thalweg.errors import listed
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.facts import bounds
from thalweg.reports.figures.formatting import MISSING, signed
from thalweg.reports.layout import board, remark, stacked, titled
from thalweg.reports.markup import Markup, element
from thalweg.reports.rates import path, rates
from thalweg.reports.terminal import aligned

WIDE, HIGH, POINTS = 112, 30, 96  # of a schedule's sketch, in pixels, and its points


def section(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Markup | None:
    """The page's section; `None` for a study of one schedule."""
    matrix = schedule_matrix(study, rows, runs)
    if matrix is None:
        return None
    heads = [_heading(study, schedule) for schedule in matrix.schedules]
    lines = [(name, [_cell(study, matrix, name, s) for s in matrix.schedules]) for name in matrix.optimizers]
    table = board("Optimizers by schedules", heads, lines, None)
    score = f"{rows[0].split} {metric_name(study.metric)}"
    axes = f"Mean {score} at the tuned rate; below it the gain over a constant rate, tuned too,"
    note = remark(f"{axes} with its 95% interval over seeds. Sketches: the rate over a run, from 0 to its largest.")
    return titled("schedules", "Schedules", " ".join(told(study, matrix)), table, note)


def _heading(study: StudyRecord, schedule: str) -> Markup:
    return element("th", schedule, sketch(study, schedule), class_="number", scope="col")


def sketch(study: StudyRecord, schedule: str) -> Markup | None:
    """The rate over a run, as a share of its largest; `None` where it follows the metric or is a user's function."""
    values = rates(study, schedule, POINTS)
    if values is None:
        return None
    line = element("path", d=path(values, WIDE, HIGH - 2, 1), class_="ink", fill="none")
    return element("svg", line, class_="sketch", viewBox=f"0 0 {WIDE} {HIGH}", aria_hidden="true")


def _cell(study: StudyRecord, matrix: ScheduleMatrix, optimizer: str, schedule: str) -> Markup:
    cell = matrix.cells.get((optimizer, schedule))
    if cell is None or not cell.row.score.count:
        return stacked(MISSING)
    return stacked(number(study, cell.row.score), "" if cell.gain is None else _gain(study, cell.gain))


def _gain(study: StudyRecord, gain: Interval) -> str:
    if gain.count < 2:
        return signed(study, gain.mean)
    return f"{signed(study, gain.mean)} ({signed(study, gain.low)} to {signed(study, gain.high)})"


def told(study: StudyRecord, matrix: ScheduleMatrix) -> list[str]:
    """What the matrix says, in sentences: gains and losses beyond their intervals, and rankings that flip."""
    gains = {s: g for s in matrix.schedules if s != CONSTANT and (g := matrix.gained(s)) is not None}
    clear = {s: g for s, g in gains.items() if g.low > 0 or g.high < 0}
    unit = " points" if is_percent(study) else ""
    sentences = [
        f"{s} {'gains' if g.mean > 0 else 'loses'} {signed(study, abs(g.mean)).lstrip('+')}{unit}"
        f" ({signed(study, g.low)} to {signed(study, g.high)}) over {g.count} optimizers."
        for s, g in clear.items()
    ]
    rest = [s for s in gains if s not in clear]
    if rest:
        what = "Of no schedule" if not clear else f"Of {listed(rest)}"
        sentences.append(f"{what} does the mean gain over optimizers lie beyond its interval." if not clear else
                         f"{what} the mean gain over optimizers lies within its interval.")  # fmt: skip
    return sentences + _flipped(study, matrix)


def _flipped(study: StudyRecord, matrix: ScheduleMatrix) -> list[str]:
    if matrix.flips:
        return [
            f"Under {flip.schedule}, {flip.first} leads {flip.second} by {size(study, flip.lead)} at half of the run,"
            f" and is behind by {size(study, flip.loss)} at its end."
            for flip in matrix.flips
        ]
    if len(matrix.optimizers) < 2:
        return []
    return ["No ranking flips between half of a run and its end, beyond the intervals."]


def lines(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> list[str]:
    """The matrix as lines of text, and what it says; empty for a study of one schedule."""
    matrix = schedule_matrix(study, rows, runs)
    if matrix is None:
        return []
    body = [[name, *(_text(study, matrix, name, s) for s in matrix.schedules)] for name in matrix.optimizers]
    head = f"By schedule, {rows[0].split} {metric_name(study.metric)}:"
    return [head, *aligned(["optimizer", *matrix.schedules], body, 1), *told(study, matrix)]


def _text(study: StudyRecord, matrix: ScheduleMatrix, optimizer: str, schedule: str) -> str:
    cell = matrix.cells.get((optimizer, schedule))
    return "-" if cell is None or not cell.row.score.count else number(study, cell.row.score)


def facts(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> dict[str, Any] | None:
    """The matrix for `--json`; `None` for a study of one schedule."""
    matrix = schedule_matrix(study, rows, runs)
    if matrix is None:
        return None
    return {
        "cells": [
            {"optimizer": o, "schedule": s, "contender": c.row.contender, "score": bounds(c.row.score),
             "learning_rate": c.row.learning_rate, "gain": bounds(c.gain)}
            for (o, s), c in matrix.cells.items()
        ],
        "flips": [vars(flip) for flip in matrix.flips],
        "told": told(study, matrix),
    }  # fmt: skip
