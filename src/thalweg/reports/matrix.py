"""The matrix of optimizers and the levels of another factor: on the page, in the terminal and as data."""

from collections.abc import Callable, Sequence
from typing import Any

from thalweg.analysis.dimensions import Matrix
from thalweg.analysis.formatting import is_percent, metric_name, number
from thalweg.analysis.intervals import Interval
from thalweg.analysis.row import Row
from thalweg.errors import listed
from thalweg.records.types import StudyRecord
from thalweg.reports.facts import bounds
from thalweg.reports.figures.formatting import MISSING, signed
from thalweg.reports.layout import board, remark, stacked
from thalweg.reports.markup import Markup, element
from thalweg.reports.terminal import aligned


def table(
    study: StudyRecord, matrix: Matrix, title: str, sketch: Callable[[str], Markup | None] = lambda level: None
) -> Markup:
    """The page's table. sketch: a drawing under a level's name."""
    heads = [element("th", level, sketch(level), class_="number", scope="col") for level in matrix.levels]
    lines = [(name, [_cell(study, matrix, name, s) for s in matrix.levels]) for name in matrix.optimizers]
    return board(title, heads, lines, None)


def note(study: StudyRecord, rows: Sequence[Row], base: str, *more: str) -> Markup:
    """What the cells are. base: what is gained over."""
    score = f"{rows[0].split} {metric_name(study.metric)}"
    axes = f"Mean {score} at the tuned rate; below it the gain over {base}, tuned too,"
    return remark(" ".join([f"{axes} with its 95% interval over seeds.", *more]))


def _cell(study: StudyRecord, matrix: Matrix, optimizer: str, level: str) -> Markup:
    cell = matrix.cells.get((optimizer, level))
    if cell is None or not cell.row.score.count:
        return stacked(MISSING)
    return stacked(number(study, cell.row.score), "" if cell.gain is None else gain_text(study, cell.gain))


def gain_text(study: StudyRecord, gain: Interval) -> str:
    """A gain with its interval, `+0.6 (+0.2 to +1.0)`."""
    if gain.count < 2:
        return signed(study, gain.mean)
    return f"{signed(study, gain.mean)} ({signed(study, gain.low)} to {signed(study, gain.high)})"


def told(study: StudyRecord, matrix: Matrix) -> list[str]:
    """What the levels gain or lose over optimizers beyond their intervals, in sentences."""
    base, factor = matrix.dimension.base, matrix.dimension.factor
    gains = {s: g for s in matrix.levels if s != base and (g := matrix.gained(s)) is not None}
    clear = {s: g for s, g in gains.items() if g.low > 0 or g.high < 0}
    unit = " points" if is_percent(study) else ""
    sentences = [f"{_changes(study, s, g, unit)} over {g.count} optimizers." for s, g in clear.items()]
    rest = [s for s in gains if s not in clear]
    if rest and not clear:
        sentences.append(f"Of no {factor} does the mean gain over optimizers lie beyond its interval.")
    elif rest:
        sentences.append(f"Of {listed(rest)} the mean gain over optimizers lies within its interval.")
    return sentences


def _changes(study: StudyRecord, level: str, gain: Interval, unit: str) -> str:
    """`l2=1e-4 gains 0.6 points (+0.2 to +1.0)`."""
    verb, amount = "gains" if gain.mean > 0 else "loses", signed(study, abs(gain.mean)).lstrip("+")
    return f"{level} {verb} {amount}{unit} ({signed(study, gain.low)} to {signed(study, gain.high)})"


def told_by_optimizer(study: StudyRecord, matrix: Matrix) -> list[str]:
    """What single levels gain or lose for single optimizers beyond their intervals, in sentences."""
    unit = " points" if is_percent(study) else ""
    return [
        f"With {name}, {_changes(study, level, gain, unit)}."
        for (name, level), cell in sorted(matrix.cells.items(), key=lambda item: _order(matrix, item[0]))
        if (gain := cell.gain) is not None and gain.count > 1 and (gain.low > 0 or gain.high < 0)
    ]


def _order(matrix: Matrix, place: tuple[str, str]) -> tuple[int, int]:
    return matrix.optimizers.index(place[0]), matrix.levels.index(place[1])


def lines(study: StudyRecord, rows: Sequence[Row], matrix: Matrix) -> list[str]:
    """The scores as lines of text, an optimizer a line."""
    body = [[name, *(_text(study, matrix, name, s) for s in matrix.levels)] for name in matrix.optimizers]
    return [_head(study, rows, matrix), *aligned(["optimizer", *matrix.levels], body, 1)]


def gain_lines(study: StudyRecord, rows: Sequence[Row], matrix: Matrix) -> list[str]:
    """The scores and the gains with their intervals as lines of text, a cell a line."""
    body, before = [], ""
    for name, level in sorted(matrix.cells, key=lambda place: _order(matrix, place)):
        gain = matrix.cells[name, level].gain
        shown = "" if gain is None else gain_text(study, gain)
        body.append([name if name != before else "", level, _text(study, matrix, name, level), shown])
        before = name
    gained = f"gain over {matrix.dimension.base}"
    table = aligned(["optimizer", matrix.dimension.factor, "score", gained], body, 2)
    return [_head(study, rows, matrix), *(line.rstrip() for line in table)]


def _head(study: StudyRecord, rows: Sequence[Row], matrix: Matrix) -> str:
    return f"By {matrix.dimension.factor}, {rows[0].split} {metric_name(study.metric)}:"


def _text(study: StudyRecord, matrix: Matrix, optimizer: str, level: str) -> str:
    cell = matrix.cells.get((optimizer, level))
    return "-" if cell is None or not cell.row.score.count else number(study, cell.row.score)


def cells(matrix: Matrix) -> list[dict[str, Any]]:
    """The cells for `--json`."""
    return [
        {"optimizer": o, matrix.dimension.factor: s, "contender": c.row.contender, "score": bounds(c.row.score),
         "learning_rate": c.row.learning_rate, "gain": bounds(c.gain)}
        for (o, s), c in matrix.cells.items()
    ]  # fmt: skip
