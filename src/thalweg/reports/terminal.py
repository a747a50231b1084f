"""The leaderboard as a terminal table, or as plain lines where the output is no terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from thalweg.analysis.formatting import number
from thalweg.analysis.intervals import Interval
from thalweg.analysis.leaderboard import Row
from thalweg.analysis.recommendation import pick
from thalweg.records.types import StudyRecord
from thalweg.reports import also

if TYPE_CHECKING:
    from rich.table import Table

LEFT = 2  # number of left-aligned columns


def cells(study: StudyRecord, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """(headings, one list of cells per contender). After a rank, `=` means tied with the first, `*` recommended though
    not the first.
    """
    heads = ["rank", "optimizer", "learning rate", f"validation {study.metric}", f"test {study.metric}"]
    heads += [f"train {study.metric}", "steps to target", "diverged", "s/run"]
    chosen = pick(rows)
    return heads, [_cells(study, row, picked=row is chosen) for row in rows]


def _cells(study: StudyRecord, row: Row, *, picked: bool) -> list[str]:
    def shown(interval: Interval | None) -> str:
        return number(study, interval) if interval is not None and interval.count else "-"

    reached = f"{row.steps_to_target:.0f}" if row.steps_to_target is not None else "-"
    if row.steps_to_target is not None and row.reached < row.runs:
        reached += f" ({row.reached}/{row.runs})"
    return [
        f"{row.rank}{_mark(row, picked=picked)}",
        row.contender,
        "-" if row.learning_rate is None else f"{row.learning_rate:.3g}",
        shown(row.validation),
        shown(row.test),
        shown(row.train),
        reached,
        f"{row.diverged}/{row.trained}",
        f"{row.seconds:.2f}",
    ]


def _mark(row: Row, *, picked: bool) -> str:
    return "" if row.rank == 1 else f"{'=' if row.tied else ''}{'*' if picked else ''}"


def lines(study: StudyRecord, rows: Sequence[Row]) -> list[str]:
    """One line per optimizer, not wrapped."""
    return aligned(*cells(study, rows), LEFT)


def further(rows: Sequence[Row]) -> list[str]:
    """One line per optimizer of what was measured beside; empty where nothing was."""
    heads = also.names(rows)
    if not heads:
        return []
    body = [[row.contender, *own] for row, own in zip(rows, also.cells(rows), strict=True)]
    return [f"Also measured, on the {rows[0].split} split:", *aligned(["optimizer", *heads], body, 1)]


def aligned(heads: Sequence[str], body: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of text with padded columns; the first `left` columns align left, the others right."""
    widths = [max(len(line[i]) for line in (heads, *body)) for i in range(len(heads))]
    padded = [[_pad(text, widths[i], i < left) for i, text in enumerate(line)] for line in (heads, *body)]
    return ["  ".join(line).rstrip() for line in padded]


def table(study: StudyRecord, rows: Sequence[Row]) -> "Table":
    """The table for a terminal, with the recommended contender and the ties with the first highlighted."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heads, body = cells(study, rows)
    chosen = pick(rows)
    caption = "* recommended" if chosen is not None and chosen.rank > 1 else None
    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    for i, head in enumerate(heads):
        out.add_column(head, justify="left" if i < LEFT else "right")
    for row, line in zip(rows, body, strict=True):
        style = "bold green" if row is (chosen or rows[0]) else "" if row.tied else "dim"
        out.add_row(*(Text(cell) for cell in line), style=style)
    return out


def _pad(text: str, width: int, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)
