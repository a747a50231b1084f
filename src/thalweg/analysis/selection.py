"""Selects a configuration from the tuning runs by its metric at the end of training, robust to lucky seeds."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.analysis import moments
from thalweg.analysis.intervals import Interval, mean_interval
from thalweg.records.types import RunRecord, rate_among

Key = tuple[tuple[str, Any], ...]
NEAR = 2  # rates on either side of the best that enter the noise estimate


@dataclass(frozen=True)
class Point:
    """Tuning runs of one configuration: the metric at the end of training over seeds, and failure counts."""

    hyperparameters: Mapping[str, Any]
    rate: str | None  # name of the learning rate among the hyperparameters
    metric: Interval
    values: Mapping[int, float]  # seed → final metric, for the runs that have one
    runs: int
    diverged: int
    failed: int  # runs without a final metric

    @property
    def learning_rate(self) -> float | None:
        return rate_among(self.hyperparameters, self.rate)

    @property
    def others(self) -> dict[str, Any]:
        """All hyperparameters except the learning rate."""
        return {name: value for name, value in self.hyperparameters.items() if name != self.rate}

    @property
    def eligible(self) -> bool:
        return self.failed == 0 and not math.isnan(self.metric.mean)


@dataclass(frozen=True)
class Choice:
    """The configuration to confirm. plateau: lowest and highest learning rate within one standard error of the best.
    edge: the end of the tried rates on which the best lies."""

    point: Point
    plateau: tuple[float, float] | None
    edge: str | None  # "lowest", "highest" or None


def points(runs: Iterable[RunRecord]) -> list[Point]:
    """Groups tuning runs by configuration, in ascending learning rate."""
    tuning = [run for run in runs if run.role == "tuning"]
    groups: dict[Key, list[RunRecord]] = defaultdict(list)
    for run in tuning:
        groups[tuple(sorted(run.hyperparameters.items()))].append(run)
    return sorted(map(_point, groups.values()), key=lambda p: p.learning_rate or 0.0)


def _point(runs: Sequence[RunRecord]) -> Point:
    values = {run.seed: m for run in runs if (m := run.validation_metric) is not None}
    known = list(values.values())
    return Point(
        hyperparameters=runs[0].hyperparameters,
        rate=runs[0].rate,
        metric=mean_interval(known),
        values=values,
        runs=len(runs),
        diverged=sum(run.diverged for run in runs),
        failed=len(runs) - len(known),
    )


def choose(tried: Sequence[Point], *, higher_is_better: bool) -> Choice | None:
    """Chooses by the plateau rule; `None` where no configuration is eligible.

    The plateau is the contiguous learning rates around the best mean that lie within one standard error of it (`noise`)
    and share its other hyperparameters. The choice is the plateau's tried rate nearest to its middle in log-rate (the
    lower of two) that no other configuration beats on every seed. A configuration with a run without final metric is
    not eligible.
    """
    sign = 1.0 if higher_is_better else -1.0
    found = best(tried, higher_is_better=higher_is_better)
    if found is None:
        return None
    line = line_of(tried, found)
    if found.learning_rate is None or len(line) == 1:
        return Choice(found, None, None)
    at = line.index(found)
    error = math.sqrt(noise(line, at) / found.metric.count)
    low, high = around(line, at, sign * found.metric.mean - error, sign)
    edge = None if 0 < at < len(line) - 1 else ("lowest" if at == 0 else "highest")
    plateau = line[low : high + 1]
    free = [p for p in plateau if p.eligible and not beaten(p, tried, sign)]
    return Choice(_middle(plateau, free), (rate_of(line[low]), rate_of(line[high])), edge)


def best(tried: Sequence[Point], *, higher_is_better: bool) -> Point | None:
    """The eligible configuration with the best mean that no other beats on every seed; `None` where there is none."""
    sign = 1.0 if higher_is_better else -1.0
    ranked = sorted((p for p in tried if p.eligible), key=lambda p: sign * p.metric.mean, reverse=True)
    return next((p for p in ranked if not beaten(p, tried, sign)), None)


def beaten(point: Point, tried: Sequence[Point], sign: float) -> bool:
    """Whether some eligible configuration is better on every seed.

    The best mean is never beaten where all configurations have the same seeds. Where a budget cut some short, a
    configuration with fewer seeds cannot beat one with more.
    """
    return any(_beats(other, point, sign) for other in tried if other.eligible)


def _beats(a: Point, b: Point, sign: float) -> bool:
    """Whether `a` is better than `b` on every seed of `b`."""
    return b.values.keys() <= a.values.keys() and all(sign * a.values[s] > sign * v for s, v in b.values.items())


def noise(line: Sequence[Point], at: int) -> float:
    """Seed variance of one run's metric near the point `at`; 0 where no rate nearby has two seeds.

    The median of the variances at this rate and up to two on either side (of two, the smaller), each scaled so that its
    median under normal noise is the true variance (Wilson and Hilferty 1931). The best rate's own variance is too
    noisy: two seeds that happen to agree would leave a plateau of one rate, two that differ would admit every rate.
    """
    near = [p.values.values() for p in line[max(0, at - NEAR) : at + NEAR + 1] if p.eligible and len(p.values) > 1]
    variances = [moments.variance([*values]) / _median_share(len(values) - 1) for values in near]
    return statistics.median(variances) if len(variances) > 2 else min(variances, default=0.0)


def _median_share(freedom: int) -> float:
    """Median of a sample variance with `freedom` degrees of freedom, relative to its mean (normal noise)."""
    return (1 - 2 / (9 * freedom)) ** 3


def line_of(tried: Sequence[Point], point: Point) -> list[Point]:
    """The configurations that differ from `point` in the learning rate at most, in ascending rate."""
    return [p for p in tried if p.others == point.others]


def around(line: Sequence[Point], at: int, least: float, sign: float) -> tuple[int, int]:
    """First and last index of the contiguous eligible points around `at` with sign · mean ≥ `least`."""

    def good(i: int) -> bool:
        return 0 <= i < len(line) and line[i].eligible and sign * line[i].metric.mean >= least

    low = high = at
    while good(low - 1):
        low -= 1
    while good(high + 1):
        high += 1
    return low, high


def rate_of(point: Point) -> float:
    """The learning rate of a point that has one."""
    assert point.learning_rate is not None
    return point.learning_rate


def _middle(plateau: Sequence[Point], free: Sequence[Point]) -> Point:
    """The point of `free` (ascending rate) nearest to the plateau's middle in log-rate.

    Distances are rounded, so that of two at equal distance the lower rate wins, not rounding error.
    """
    middle = (math.log10(rate_of(plateau[0])) + math.log10(rate_of(plateau[-1]))) / 2
    return min(free, key=lambda p: round(abs(math.log10(rate_of(p)) - middle), 9))
