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
    """The plateau rule: around the best mean, the contiguous rates within one standard error of it; their middle
    in log-rate (the lower of two). Configurations with a run that has no final metric are not eligible.

    Returns `None` where no configuration is eligible.
    """
    sign = 1.0 if higher_is_better else -1.0
    able = [p for p in tried if p.eligible]
    if not able:
        return None
    best = max(able, key=lambda p: sign * p.metric.mean)
    line = [p for p in tried if _others(p) == _others(best)]
    if best.learning_rate is None or len(line) == 1:
        return Choice(best, None, None)
    at = line.index(best)
    least = sign * best.metric.mean - best.standard_error
    low, high = _spread(line, at, least, sign)
    edge = None if 0 < at < len(line) - 1 else ("lowest" if at == 0 else "highest")
    middle = line[low + (high - low) // 2]
    return Choice(middle, (_rate(line[low]), _rate(line[high])), edge)


def _spread(line: Sequence[Point], at: int, least: float, sign: float) -> tuple[int, int]:
    """How far from `at` the points stay at `least` or better without a gap."""

    def good(i: int) -> bool:
        return 0 <= i < len(line) and line[i].eligible and sign * line[i].metric.mean >= least

    low = high = at
    while good(low - 1):
        low -= 1
    while good(high + 1):
        high += 1
    return low, high


def _rate(point: Point) -> float:
    assert point.learning_rate is not None
    return point.learning_rate


def _others(point: Point) -> dict[str, Any]:
    """Everything but the learning rate."""
    return {k: v for k, v in point.hyperparameters.items() if v != point.learning_rate or k != "lr"}
