"""Choosing a configuration from the tuning runs: by the end of training, without luck."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.analysis.intervals import Interval, mean_interval, standard_error
from thalweg.records.types import RunRecord

Key = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Point:
    """One configuration's tuning runs: the metric at the end over seeds, and how many diverged."""

    learning_rate: float | None
    hyperparameters: Mapping[str, Any]
    metric: Interval
    standard_error: float
    runs: int
    diverged: int
    failed: int  # runs without a final metric

    @property
    def eligible(self) -> bool:
        return self.failed == 0 and not math.isnan(self.metric.mean)


@dataclass(frozen=True)
class Choice:
    """The configuration to confirm. `plateau`: the rates as good as the best. `edge`: where the best lies on one."""

    point: Point
    plateau: tuple[float, float] | None
    edge: str | None  # "lowest", "highest" or None


def points(runs: Iterable[RunRecord]) -> list[Point]:
    """Tuning runs by configuration, in ascending learning rate."""
    groups: dict[Key, list[RunRecord]] = defaultdict(list)
    for run in runs:
        if run.role == "tuning":
            groups[tuple(sorted(run.hyperparameters.items()))].append(run)
    return sorted((_point(of) for of in groups.values()), key=lambda p: p.learning_rate or 0.0)


def _point(runs: Sequence[RunRecord]) -> Point:
    metrics = [run.validation_metric for run in runs]
    known = [m for m in metrics if m is not None]
    return Point(
        learning_rate=runs[0].learning_rate,
        hyperparameters=runs[0].hyperparameters,
        metric=mean_interval(known),
        standard_error=standard_error(known),
        runs=len(runs),
        diverged=sum(run.diverged for run in runs),
        failed=len(metrics) - len(known),
    )


def choose(tried: Sequence[Point], *, higher_is_better: bool) -> Choice | None:
    """The plateau rule: around the best mean, the contiguous rates within one standard error of it; the tried rate
    nearest to the middle between their ends in log-rate (the lower of two). Only rates that differ from the best in
    nothing else count, and a configuration with a run that has no final metric is not eligible.

    Returns `None` where no configuration is eligible.
    """
    sign = 1.0 if higher_is_better else -1.0
    found = best(tried, higher_is_better=higher_is_better)
    if found is None:
        return None
    line = line_of(tried, found)
    if found.learning_rate is None or len(line) == 1:
        return Choice(found, None, None)
    at = line.index(found)
    low, high = around(line, at, sign * found.metric.mean - found.standard_error, sign)
    edge = None if 0 < at < len(line) - 1 else ("lowest" if at == 0 else "highest")
    return Choice(_middle(line[low : high + 1]), (rate_of(line[low]), rate_of(line[high])), edge)


def best(tried: Sequence[Point], *, higher_is_better: bool) -> Point | None:
    """The configuration with the best mean; `None` where none is eligible."""
    sign = 1.0 if higher_is_better else -1.0
    return max((p for p in tried if p.eligible), key=lambda p: sign * p.metric.mean, default=None)


def line_of(tried: Sequence[Point], point: Point) -> list[Point]:
    """The configurations that differ from one in the learning rate at most, in ascending rate."""
    rate = _rate_name(tried)
    return [p for p in tried if _others(p, rate) == _others(point, rate)]


def around(line: Sequence[Point], at: int, least: float, sign: float) -> tuple[int, int]:
    """How far from `at` the points stay at `least` or better without a gap: indices of the first and the last."""

    def good(i: int) -> bool:
        return 0 <= i < len(line) and line[i].eligible and sign * line[i].metric.mean >= least

    low = high = at
    while good(low - 1):
        low -= 1
    while good(high + 1):
        high += 1
    return low, high


def rate_of(point: Point) -> float:
    """The learning rate of a point on a line of several."""
    assert point.learning_rate is not None
    return point.learning_rate


def _middle(plateau: Sequence[Point]) -> Point:
    """Rounded, so that of two at equal distance the first is the lower and not the luckier in its last digit."""
    places = [math.log10(rate_of(p)) for p in plateau]
    middle = (places[0] + places[-1]) / 2
    return min(zip(plateau, places, strict=True), key=lambda pair: round(abs(pair[1] - middle), 9))[0]


def _rate_name(tried: Sequence[Point]) -> str | None:
    """What the learning rate is called: the hyperparameter that equals it everywhere."""
    names = [n for n in tried[0].hyperparameters if all(p.hyperparameters.get(n) == p.learning_rate for p in tried)]
    return "lr" if "lr" in names or not names else names[0]


def _others(point: Point, rate: str | None) -> dict[str, Any]:
    """Everything but the learning rate."""
    return {name: value for name, value in point.hyperparameters.items() if name != rate}
