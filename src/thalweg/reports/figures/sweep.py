"""Learning rate sweeps as data: each optimizer's metric at the end of training against the learning rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from thalweg.analysis.formatting import is_percent
from thalweg.analysis.leaderboard import Row
from thalweg.analysis.recommendation import pick
from thalweg.analysis.selection import Point
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.figures.finals import tuned
from thalweg.reports.figures.scales import Scale, metric_scale, rates_scale


@dataclass(frozen=True)
class Spot:
    """One learning rate. mean, low, high: mean and 95% interval, `None` unless every seed has a final metric."""

    rate: float
    mean: float | None
    low: float | None
    high: float | None
    seeds: tuple[float, ...]
    diverged: int
    runs: int


@dataclass(frozen=True)
class Panel:
    """One optimizer's panel. spots: with the chosen values of all other hyperparameters. others: one line of spots for
    each other combination of those.

    good: the good range. shade: the good range, widened for drawing. picked: whether it is the recommended one's.
    default: the published default rate and its mean validation metric over the confirmation seeds.
    """

    contender: str
    rank: int
    spots: tuple[Spot, ...]
    others: tuple[tuple[Spot, ...], ...]
    chosen: Spot | None
    good: tuple[float, float] | None
    picked: bool
    shade: tuple[float, float] | None
    edge: str | None
    default: tuple[float, float] | None

    @property
    def lines(self) -> tuple[tuple[Spot, ...], ...]:
        """All spots, those of each combination of the other hyperparameters together."""
        return (self.spots, *self.others)


@dataclass(frozen=True)
class Sweep:
    """All panels on the same axes, best first. fixed: names of optimizers that were run without a learning rate."""

    panels: tuple[Panel, ...]
    rates: Scale
    metric: Scale
    fixed: tuple[str, ...]


def sweep(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Sweep:
    """Builds the data of the panels."""
    rated = [row for row in rows if any(p.learning_rate is not None for p in row.tried)]
    chosen = pick(rows)
    panels = tuple(_panel(study, row, runs, picked=row is chosen) for row in rated)
    spots = [spot for panel in panels for spot in panel.spots]
    defaults = [panel.default for panel in panels if panel.default]
    return Sweep(
        panels=panels,
        rates=rates_scale([spot.rate for spot in spots] + [rate for rate, _ in defaults]),
        metric=metric_scale(study, [spot.mean for spot in spots] + [metric for _, metric in defaults]),
        fixed=tuple(row.contender for row in rows if row.tried and row not in rated),
    )


def _panel(study: StudyRecord, row: Row, runs: Sequence[RunRecord], *, picked: bool) -> Panel:
    lines = _lines(study, row, runs)
    main = _key(row.choice.point) if row.choice else _key(row.tried[0])
    spots = lines.pop(main)
    good = (row.good.low, row.good.high) if row.good else None
    return Panel(
        contender=row.contender,
        rank=row.rank,
        spots=spots,
        others=tuple(lines.values()),
        chosen=next((s for s in spots if row.choice and s.rate == row.learning_rate), None),
        good=good,
        picked=picked,
        shade=_shade(good, [spot.rate for spot in spots]) if good else None,
        edge=row.choice.edge if row.choice else None,
        default=_default(row, runs),
    )


def _lines(study: StudyRecord, row: Row, runs: Sequence[RunRecord]) -> dict[str, tuple[Spot, ...]]:
    """Spots in ascending rate, keyed by the other hyperparameters."""
    lines: dict[str, tuple[Spot, ...]] = {}
    for point in row.tried:
        if point.learning_rate is not None:
            spot = _spot(study, point, point.learning_rate, tuned(row, point.hyperparameters, runs))
            lines[_key(point)] = (*lines.get(_key(point), ()), spot)
    return lines


def _spot(study: StudyRecord, point: Point, rate: float, runs: Sequence[RunRecord]) -> Spot:
    known = [run.validation_metric for run in runs]
    low, high = (_within(study, point.metric.mean, bound) for bound in (point.metric.low, point.metric.high))
    whole = point.eligible and math.isfinite(point.metric.mean)
    return Spot(
        rate=rate,
        mean=point.metric.mean if whole else None,
        low=low if whole else None,
        high=high if whole else None,
        seeds=tuple(v for v in known if v is not None and math.isfinite(v)),
        diverged=point.diverged,
        runs=point.runs,
    )


def _within(study: StudyRecord, mean: float, bound: float) -> float | None:
    """An interval's end, clipped to [0, 1] for an accuracy (a mean outside widens this); `None` if not finite."""
    if not math.isfinite(bound):
        return None
    return min(max(bound, min(mean, 0.0)), max(mean, 1.0)) if is_percent(study) else bound


def _shade(good: tuple[float, float], rates: Sequence[float]) -> tuple[float, float]:
    """The good range widened by 0.4 of the log-step to the next rate on each side, so that a single rate is visible."""
    ordered = sorted(rates)
    first, last = ordered.index(good[0]), ordered.index(good[1])
    widest = 10.0**0.5 if len(ordered) < 2 else (ordered[-1] / ordered[0]) ** (1 / (len(ordered) - 1))
    below = ordered[first] / ordered[first - 1] if first else widest
    above = ordered[last + 1] / ordered[last] if last + 1 < len(ordered) else widest
    return good[0] / below**0.4, good[1] * above**0.4


def _default(row: Row, runs: Sequence[RunRecord]) -> tuple[float, float] | None:
    """The published default rate with its mean validation metric; `None` unless every seed has one."""
    found = [r.validation_metric for r in runs if r.contender == row.contender and r.role == "defaults"]
    known = [v for v in found if v is not None and math.isfinite(v)]
    if row.default_learning_rate is None or not known or len(known) < len(found):
        return None
    return row.default_learning_rate, sum(known) / len(known)


def _key(point: Point) -> str:
    """A hashable key of a configuration's hyperparameters without the learning rate."""
    return repr(sorted(point.others.items()))
