"""The leaderboard as data: the text of each line, and its intervals as positions on a common axis."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from thalweg.analysis.chosen import range_text, setting
from thalweg.analysis.formatting import size
from thalweg.analysis.intervals import Interval
from thalweg.analysis.leaderboard import Row
from thalweg.analysis.recommendation import pick
from thalweg.analysis.reliability import DIVERGED, WORSENED
from thalweg.records.types import StudyRecord
from thalweg.reports.figures.formatting import MISSING, rate, spread
from thalweg.reports.figures.scales import Scale, metric_scale

CRUSHING = 10  # multiple of the median width above which an interval is not used to set the axis


@dataclass(frozen=True)
class Whisker:
    """An interval as fractions of the axis. beyond: the side on which its mean lies outside the axis, or `None`."""

    at: float
    low: float | None
    high: float | None
    beyond: str | None  # "low" or "high"


@dataclass(frozen=True)
class Line:
    """One optimizer's line. Pairs are (mean, margin); a whisker is `None` where there is no mean.

    note: its relation to the first, in words. picked: whether it is the recommended one. group: tie group, from 1.
    failed: number of final runs that failed to train. good: the good range of learning rates. setting: tuned
    hyperparameters other than the learning rate.
    """

    rank: int
    contender: str
    note: str
    picked: bool
    group: int
    tied: bool
    failed: int
    setting: str
    learning_rate: str
    good: str
    edge: str | None
    score: tuple[str, str]
    validation: tuple[str, str]
    train: tuple[str, str]
    defaults: tuple[str, str]
    default_rate: str
    steps: str
    reached: str
    diverged: str
    whisker: Whisker | None
    default_whisker: Whisker | None


@dataclass(frozen=True)
class Standings:
    """The table: its lines, best first, the ranking split, the intervals' axis, and which optional columns it has."""

    lines: tuple[Line, ...]
    split: str
    axis: Scale
    reference: float | None  # position of the first contender's mean on the axis
    has_defaults: bool
    has_target: bool


def standings(study: StudyRecord, rows: Sequence[Row]) -> Standings:
    """Builds the table's data."""
    split = rows[0].split
    axis = _axis(study, [row.score for row in rows], [row.defaults for row in rows])
    chosen = pick(rows)
    lines = tuple(_line(study, row, axis, picked=row is chosen) for row in rows)
    first = lines[0].whisker
    return Standings(
        lines=lines,
        split=split,
        axis=axis,
        reference=first.at if first and not first.beyond else None,
        has_defaults=any(row.defaults for row in rows),
        has_target=study.target is not None,
    )


def _axis(study: StudyRecord, tuned: Sequence[Interval | None], defaults: Sequence[Interval | None]) -> Scale:
    """The axis: fits the tuned intervals except far wider ones (`CRUSHING`), and the means that are no outliers."""
    found = [interval for interval in tuned if interval]
    widths = [interval.high - interval.low for interval in found if math.isfinite(interval.high - interval.low)]
    usual = statistics.median(widths) if widths else 0.0
    fitting = [i for i in found if not usual or not i.high - i.low > CRUSHING * usual]
    ends = [end for interval in fitting for end in (interval.low, interval.high)]
    return metric_scale(study, ends + [i.mean for i in (*found, *filter(None, defaults))])


def _line(study: StudyRecord, row: Row, axis: Scale, *, picked: bool) -> Line:
    return Line(
        rank=row.rank,
        contender=row.contender,
        note=note(study, row),
        picked=picked,
        group=row.group,
        tied=row.tied and row.validation.count > 0,
        failed=len(row.failed),
        setting=setting(row),
        learning_rate=rate(row.learning_rate),
        good=range_text(row),
        edge=row.choice.edge if row.choice else None,
        score=spread(study, row.score),
        validation=spread(study, row.validation),
        train=spread(study, row.train),
        defaults=spread(study, row.defaults),
        default_rate=rate(row.default_learning_rate),
        steps=MISSING if row.steps_to_target is None else f"{row.steps_to_target:,.0f}",
        reached=f"{row.reached}/{row.runs} reached" if row.reached < row.runs else "",
        diverged=f"{row.diverged}/{row.trained}" if row.trained else MISSING,
        whisker=whisker(axis, row.score),
        default_whisker=whisker(axis, row.defaults),
    )


def note(study: StudyRecord, row: Row) -> str:
    """A contender's relation to the first, or its failures, in words."""
    if not row.trained:
        return "no run was trained"
    broke = "diverged" if set(row.failures) <= {DIVERGED, WORSENED} else "failed"
    if row.choice is None:
        return f"every run {broke}" if sum(row.failures.values()) == row.trained else "no rate let every seed finish"
    if not row.runs:
        return "no final run was trained"
    if not row.score.count:
        return f"every final run {broke}"
    if row.failed:
        how = broke if not row.whole else "failed to train"
        return f"unreliable: {len(row.failed)} of {row.runs} final runs {how}"
    return _standing(study, row)


def _standing(study: StudyRecord, row: Row) -> str:
    """The distance to the first of a contender that finished all final runs."""
    if row.rank == 1:
        return "best mean"
    if row.tied:
        return ""  # a bar along the ranks joins them
    far = f"{size(study, row.behind.mean)} behind" if row.behind else "not comparable seed by seed"
    return f"{far}, group\u00a0{row.group}"


def whisker(axis: Scale, interval: Interval | None) -> Whisker | None:
    """An interval's positions on the axis, clipped to it; `None` without a finite mean."""
    if interval is None or not interval.count or not math.isfinite(interval.mean):
        return None
    at = axis.fraction(interval.mean)
    beyond = "low" if at < 0 else "high" if at > 1 else None
    return Whisker(_cut(at), _end(axis, interval.low), _end(axis, interval.high), beyond)


def _end(axis: Scale, bound: float) -> float | None:
    return _cut(axis.fraction(bound)) if math.isfinite(bound) else None


def _cut(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0)
