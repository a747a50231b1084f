"""The leaderboard as a terminal table, or as plain lines where the output is no terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from thalweg.analysis.chosen import good_text
from thalweg.analysis.code import code
from thalweg.analysis.formatting import metric_name, number, rate_text
from thalweg.analysis.intervals import Interval
from thalweg.analysis.leaderboard import Row
from thalweg.analysis.recommendation import pick
from thalweg.analysis.verdict import opening
from thalweg.records.types import StudyRecord
from thalweg.reports import also

if TYPE_CHECKING:
    from rich.table import Table

LEFT = 2  # number of left-aligned columns
GAP = 3  # between two columns of a terminal's table; at its ends there is a space


def cells(study: StudyRecord, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """(headings, one list of cells per contender). After a rank: `MARKS`."""
    metric = metric_name(study.metric)
    heads = ["rank", "optimizer", "learning rate", "good range", f"validation {metric}", f"test {metric}"]
    heads += [f"train {metric}", "steps to target", "diverged"]
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
        "-" if row.learning_rate is None else rate_text(row.learning_rate),
        good_text(row) or "-",
        shown(row.validation),
        shown(row.test),
        shown(row.train),
        reached,
        f"{row.diverged}/{row.trained}",
    ]


MARKS = {"=": "not separated from the first", "*": "recommended", "!": "unreliable: a final run failed to train"}
"""Marks after a rank, and what they mean."""


def _mark(row: Row, *, picked: bool) -> str:
    marks = [("=", row.tied and row.reliable), ("*", picked), ("!", bool(row.failed))]
    return "".join(mark for mark, holds in marks if holds and (row.rank > 1 or mark == "!"))


def legend(body: Sequence[Sequence[str]]) -> str:
    """What the marks mean that stand behind ranks; empty where none does."""
    return "; ".join(f"{mark} {meaning}" for mark, meaning in MARKS.items() if any(mark in line[0] for line in body))


def lines(study: StudyRecord, rows: Sequence[Row]) -> list[str]:
    """One line per optimizer, not wrapped, and what the marks mean."""
    heads, body = cells(study, rows)
    return [*aligned(heads, body, LEFT), *filter(None, [legend(body)])]


def answer(study: StudyRecord, rows: Sequence[Row], verdict: str) -> tuple[str, list[str], str]:
    """(the verdict's first sentence, lines of Python that make what it recommends, its further sentences).

    No lines where the verdict recommends nothing, as of a study that is not finished.
    """
    first, rest, answers = opening(study, rows, verdict)
    chosen = pick(rows) if answers else None
    made = code(study, chosen) if chosen is not None else None
    return first, made.split("\n") if made else [], rest


def further(rows: Sequence[Row]) -> list[str]:
    """One line per optimizer of what was measured beside; empty where nothing was."""
    heads = also.names(rows)
    if not heads:
        return []
    body = [[row.contender, *own] for row, own in zip(rows, also.cells(rows), strict=True)]
    of_weights = "; regularization, of the weights" if "regularization" in heads else ""
    return [f"Also measured, on the {rows[0].split} split{of_weights}:", *aligned(["optimizer", *heads], body, 1)]


def aligned(heads: Sequence[str], body: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of text with padded columns; the first `left` columns align left, the others right."""
    widths = [max(len(line[i]) for line in (heads, *body)) for i in range(len(heads))]
    padded = [[_pad(text, widths[i], i < left) for i, text in enumerate(line)] for line in (heads, *body)]
    return ["  ".join(line).rstrip() for line in padded]


LEAVING = ("train", "validation", "diverged", "steps to target", "good range")
"""The columns that leave a terminal too narrow for all, in this order; of the two that may rank, the other one."""


def table(study: StudyRecord, rows: Sequence[Row], width: int) -> "Table":
    """The table for a terminal of so many columns, with the recommended contender and the ties with the first
    highlighted. Names and rates are whole at any width: other columns leave, by priority."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heads, body = fitting(study, rows, width)
    whole = _width(heads, body, range(len(heads))) <= width
    chosen, caption = pick(rows), legend(body)
    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption or None, caption_justify="left")
    for i, head in enumerate(heads):
        out.add_column(head, justify="left" if i < LEFT else "right", overflow="fold", no_wrap=whole or i != 1)
    for row, line in zip(rows, body, strict=True):
        style = "bold green" if row is (chosen or rows[0]) else "" if row.tied else "dim"
        out.add_row(*(Text(cell) for cell in line), style=style)
    return out


def fitting(study: StudyRecord, rows: Sequence[Row], width: int) -> tuple[list[str], list[list[str]]]:
    """`cells` of the columns that fit into a width, headings in lines of one or two words each."""
    heads, body = cells(study, rows)
    ranking = rows[0].split if rows else "test"
    leaving = [f"{'test' if name == ranking else name} " for name in LEAVING]
    kept = [i for i in range(len(heads)) if i <= LEFT or any(line[i] != "-" for line in body)]
    for name in leaving:
        if _width(heads, body, kept) <= width:
            break
        kept = [i for i in kept if not f"{heads[i]} ".startswith(name)]
    return [_stacked(heads[i]) for i in kept], [[line[i] for i in kept] for line in body]


def _width(heads: Sequence[str], body: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    """Of a table of these columns, `GAP` apart, in a terminal's cells: some letters take two."""
    from rich.cells import cell_len

    widest = [max(map(cell_len, [*_stacked(heads[i]).split("\n"), *(line[i] for line in body)])) for i in kept]
    return sum(widest) + GAP * (len(kept) - 1) + 2


def _stacked(head: str) -> str:
    """A heading in two lines, if it has several words."""
    first, _, rest = head.partition(" ")
    return f"{first}\n{rest}" if rest else head


def _pad(text: str, width: int, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)
