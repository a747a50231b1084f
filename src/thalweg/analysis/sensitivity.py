"""Sensitivity to the learning rate: width of the good range, and expected metric of a random rate."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from thalweg.analysis.selection import Point, around, best, line_of, rate_of

CLOSE = 0.01  # relative to the best mean
ROUNDING = 1e-9


@dataclass(frozen=True)
class Sensitivity:
    """Sensitivity of a contender to its learning rate.

    width: decades of learning rate, contiguous around the best, whose mean is within 1% of the best; 0 where only the
        best is; `None` where fewer than two rates were tried or none finished.
    expected: expected validation metric of a rate drawn log-uniformly from the coarse range; a run without a final
        metric counts as `worst`. `None` where fewer than two rates were tried in that range.
    """

    width: float | None
    expected: float | None


def sensitivity(
    tried: Sequence[Point], coarse: Sequence[float], worst: float | None, *, higher_is_better: bool
) -> Sensitivity:
    """Computes the sensitivity over the points that differ from the best in the learning rate only.

    Args:
        tried: a contender's tuning points, in ascending learning rate.
        coarse: the coarse grid's rates; only the lowest and the highest are used.
        worst: the worst final metric over all contenders' finished tuning runs; `None` where none finished.
    """
    if not tried:
        return Sensitivity(None, None)
    top = best(tried, higher_is_better=higher_is_better)
    line = [p for p in line_of(tried, top or tried[0]) if p.learning_rate is not None]
    inside = [p for p in line if coarse and min(coarse) <= rate_of(p) <= max(coarse)]
    width = None if top is None or len(line) < 2 else _width(line, top, 1.0 if higher_is_better else -1.0)
    return Sensitivity(width, _expected(inside, worst))


def _width(line: Sequence[Point], top: Point, sign: float) -> float:
    least = sign * top.metric.mean - (CLOSE + ROUNDING) * abs(top.metric.mean)
    low, high = around(line, line.index(top), least, sign)
    return math.log10(rate_of(line[high]) / rate_of(line[low]))


def _expected(line: Sequence[Point], worst: float | None) -> float | None:
    """Mean of the metric over log-rate by the trapezoid rule."""
    if len(line) < 2 or worst is None:
        return None
    places = [math.log10(rate_of(p)) for p in line]
    values = [_mean(p, worst) for p in line]
    pairs = itertools.pairwise(zip(places, values, strict=True))
    return sum((b - a) * (u + v) / 2 for (a, u), (b, v) in pairs) / (places[-1] - places[0])


def _mean(point: Point, worst: float) -> float:
    finished = point.runs - point.failed
    return ((point.metric.mean * finished if finished else 0.0) + worst * point.failed) / point.runs
