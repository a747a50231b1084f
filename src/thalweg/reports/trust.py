"""The page's section on the reliability of the result."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thalweg.analysis.caveats import doubts
from thalweg.analysis.chosen import good_text
from thalweg.analysis.formatting import is_percent, metric_name
from thalweg.analysis.intervals import Interval
from thalweg.analysis.recommendation import pick
from thalweg.analysis.row import Row
from thalweg.records.types import StudyRecord
from thalweg.reports import captions
from thalweg.reports.figures.formatting import MISSING, capital, signed, value
from thalweg.reports.layout import board, heading, remark, stacked, titled
from thalweg.reports.markup import Markup, element, join

CHECKS = (
    "the final runs of the recommended finished, its best rate is not on the edge of those tried, its published "
    "defaults do no better, the seeds are enough and agree, it had stopped improving, and no other’s rates or search "
    "space look too narrow"
)
"""What holds where `analysis.caveats` finds nothing, as the end of a sentence."""


@dataclass(frozen=True)
class Column:
    """One column of the table. change: whether it shows a difference. fresh: whether it needs confirmation seeds.

    ended_late: whether it compares the end of training with the best measurement, which are one under early stopping.
    """

    name: str  # `{first}` is the first contender's name
    meaning: str  # explanation; `{metric}` is the study's metric
    cell: Callable[[StudyRecord, Row], Markup]
    change: bool = False
    fresh: bool = False
    ended_late: bool = False


def section(study: StudyRecord, rows: Sequence[Row]) -> Markup:
    """The caveats, and per optimizer the gain from tuning, sensitivity, overfitting and optimism of tuning."""
    chosen, said = pick(rows), doubts(study, rows)
    sound = f"All automatic checks passed: {CHECKS}." if chosen else "There is no answer to trust."
    lead = "What would change the answer:" if said else sound
    listed = element("ul", *(element("li", sentence) for sentence in said), class_="doubts") if said else None
    columns = [column for column in COLUMNS if study.confirmation_seeds or not column.fresh]
    columns = [column for column in columns if not (column.ended_late and captions.stops_early(study))]
    unit = ", points" if is_percent(study) else ""
    words = _words(study, rows)
    heads = [heading(column.name.format(**words) + unit * column.change) for column in columns]
    lines = [(row.contender, [column.cell(study, row) for column in columns]) for row in rows]
    table = board("How far to trust each optimizer", heads, lines, chosen.contender if chosen else None)
    return titled("trust", "How far to trust it", lead, listed, table, remark(*_meanings(study, rows, columns)))


def _meanings(study: StudyRecord, rows: Sequence[Row], columns: Sequence[Column]) -> list[Markup]:
    words = _words(study, rows)
    terms = [(capital(column.name.format(**words)), column.meaning.format(**words)) for column in columns]
    return [join(element("strong", term), f": {meaning} ") for term, meaning in terms]


def _words(study: StudyRecord, rows: Sequence[Row]) -> dict[str, str]:
    return {"metric": metric_name(study.metric), "first": rows[0].contender}


def _change(study: StudyRecord, interval: Interval | None) -> Markup:
    if interval is None:
        return stacked(MISSING)
    known = math.isfinite(interval.low) and math.isfinite(interval.high)
    ends = f"{signed(study, interval.low)} to {signed(study, interval.high)}" if known else ""
    return stacked(signed(study, interval.mean), ends)


def _good(study: StudyRecord, row: Row) -> Markup:
    if row.good is None:
        return stacked(MISSING)
    return stacked(good_text(row), f"{row.good.decades:.1f} decades")


def _improvement(study: StudyRecord, row: Row) -> Markup:
    return stacked(MISSING if row.rank == 1 or row.improvement is None else f"{row.improvement:.0%}")


COLUMNS = (
    Column(
        "tuned over defaults",
        "the gain over the published defaults, on the same fresh seeds.",
        lambda study, row: _change(study, row.tuning_gain),
        change=True,
        fresh=True,
    ),
    Column(
        "good range",
        "the learning rates that do as well as its best, within what this study can tell apart and at most a quarter "
        "of the error left.",
        _good,
    ),
    Column(
        "random learning rate",
        "the validation {metric} to expect of a rate drawn at random (log scale) from the coarse grid’s range.",
        lambda study, row: stacked(value(study, row.expected)),
    ),
    Column(
        "overfitting",
        "how much better the {metric} is on the training split than on the split that ranks.",
        lambda study, row: _change(study, row.gap),
        change=True,
    ),
    Column(
        "tuning optimism",
        "how much better the choice’s validation {metric} looked in tuning than on fresh seeds.",
        lambda study, row: stacked(signed(study, row.curse)),
        change=True,
        fresh=True,
    ),
    Column(
        "with early stopping",
        "the test {metric} where the validation {metric} was best, not at the end of training.",
        lambda study, row: stacked(value(study, row.best_test.mean if row.best_test else None)),
        fresh=True,
        ended_late=True,
    ),
    Column("P(beats {first})", "the share of pairs of runs in which it does better than {first}.", _improvement),
)
