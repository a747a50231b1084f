"""The matrix of optimizers and schedules: on the page, in the terminal and as data."""

from collections.abc import Sequence
from typing import Any

from thalweg.analysis.formatting import is_percent, number, size
from thalweg.analysis.intervals import Interval
from thalweg.analysis.row import Row
from thalweg.analysis.schedules import CONSTANT, ScheduleMatrix, schedule_matrix
from thalweg.errors import InputError
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.facts import bounds
from thalweg.reports.figures.formatting import MISSING, signed
from thalweg.reports.layout import board, remark, stacked, titled
from thalweg.reports.markup import Markup, element
from thalweg.schedules import Schedule, parse

WIDE, HIGH, POINTS = 112, 30, 96  # of a schedule's sketch, in pixels, and its points


def section(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Markup | None:
    """The page's section; `None` for a study of one schedule."""
    matrix = schedule_matrix(study, rows, runs)
    if matrix is None:
        return None
    heads = [_heading(study, schedule) for schedule in matrix.schedules]
    lines = [(name, [_cell(study, matrix, name, s) for s in matrix.schedules]) for name in matrix.optimizers]
    table = board("Optimizers by schedules", heads, lines, None)
    axes = f"Mean {rows[0].split} {study.metric} at the tuned rate; below it the gain over a constant rate, tuned too, with"
    note = remark(f"{axes} its 95% interval over seeds. The sketches are the rate over a run, from 0 to its largest.")
    return titled("schedules", "Schedules", " ".join(told(study, matrix)), table, note)


def _heading(study: StudyRecord, schedule: str) -> Markup:
    return element("th", schedule, sketch(study, schedule), class_="number", scope="col")


def sketch(study: StudyRecord, schedule: str) -> Markup | None:
    """The rate over a run, as a share of its largest; `None` where it follows the metric or is a user's function."""
    shape = _shape(study, schedule)
    if shape is None:
        return None
    places = [study.steps * i / (POINTS - 1) for i in range(POINTS)]
    values = [float(shape.at(min(int(t), study.steps - 1))) for t in places]
    most = max(values)
    drawn = " ".join(
        f"{'L' if i else 'M'}{WIDE * i / (POINTS - 1):.1f} {1 + (HIGH - 2) * (1 - v / most):.1f}"
        for i, v in enumerate(values)
    )
    line = element("path", d=drawn, class_="ink", fill="none")
    return element("svg", line, class_="sketch", viewBox=f"0 0 {WIDE} {HIGH}", aria_hidden="true")


def _shape(study: StudyRecord, schedule: str) -> Schedule | None:
    try:
        found = parse(schedule)
        if isinstance(found, Schedule):
            return found.with_base(1.0).resolved(steps=study.steps, steps_per_epoch=study.steps_per_epoch)
    except InputError:  # a user's function, of which the study knows the name
        pass
    return None


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
    """What the matrix says, in sentences: the mean gain of each schedule, and rankings that flip."""
    unit = " points" if is_percent(study) else ""
    sentences = []
    for schedule in matrix.schedules:
        gained = matrix.gained(schedule)
        if schedule != CONSTANT and gained is not None:
            ends = f" ({signed(study, gained.low)} to {signed(study, gained.high)})"
            over = f"over {gained.count} optimizers"
            sentences.append(f"{schedule} gains {signed(study, gained.mean)}{unit}{ends} {over}.")
    for flip in matrix.flips:
        sentences.append(
            f"Under {flip.schedule}, {flip.first} leads {flip.second} by {size(study, flip.lead)} at half of the run, and"
            f" is behind by {size(study, flip.loss)} at its end."
        )
    decaying = len([s for s in matrix.schedules if s != CONSTANT])
    if not matrix.flips and len(matrix.optimizers) > 1 and decaying:
        sentences.append("No ranking flips between half of the run and its end, beyond its intervals.")
    return sentences


def lines(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> list[str]:
    """The matrix as lines of text, and what it says; empty for a study of one schedule."""
    from thalweg.reports.terminal import aligned

    matrix = schedule_matrix(study, rows, runs)
    if matrix is None:
        return []
    body = [[name, *(_text(study, matrix, name, s) for s in matrix.schedules)] for name in matrix.optimizers]
    head = f"By schedule, {rows[0].split} {study.metric}:"
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
