"""What was measured beside the metric that decides: further metrics, and the parts of a step's loss."""

from collections.abc import Sequence

from thalweg.analysis.formatting import metric_name, number_of
from thalweg.analysis.recommendation import pick
from thalweg.analysis.row import Row
from thalweg.records.types import StudyRecord
from thalweg.reports.figures.formatting import MISSING
from thalweg.reports.layout import board, heading, stacked, titled
from thalweg.reports.markup import Markup


def names(rows: Sequence[Row]) -> list[str]:
    """Of what was measured, in its order."""
    return [*dict.fromkeys(name for row in rows for name in row.details)]


def cells(rows: Sequence[Row], missing: str = "-") -> list[list[str]]:
    """One list of cells per contender."""
    return [[_cell(row, name, missing) for name in names(rows)] for row in rows]


def _cell(row: Row, name: str, missing: str) -> str:
    """The mean with its interval, and of how many runs where some have no number."""
    interval = row.details.get(name)
    if interval is None or not interval.count:
        return missing
    some = "" if interval.count == row.runs else f" ({interval.count}/{row.runs})"
    return number_of(name, interval) + some


def section(study: StudyRecord, rows: Sequence[Row]) -> Markup | None:
    """A table of them; `None` where nothing else was measured."""
    if not names(rows):
        return None
    chosen = pick(rows)
    heads = [heading(name) for name in names(rows)]
    lines = [
        (row.contender, [stacked(text) for text in own]) for row, own in zip(rows, cells(rows, MISSING), strict=True)
    ]
    decides = metric_name(study.metric)
    lead = f"On the {rows[0].split} split, at the end of the runs that rank. None of it decides: {decides} does."
    lead += " The regularization loss is that of the weights." if "regularization" in names(rows) else ""
    table = board("Also measured", heads, lines, chosen.contender if chosen else None)
    return titled("also", "Also measured", lead, table)
