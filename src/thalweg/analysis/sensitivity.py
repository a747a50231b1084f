"""Sensitivity to the learning rate: the metric to expect of a random one."""

import itertools
import math
from collections.abc import Sequence

from thalweg.analysis.selection import Point, best, line_of, rate_of


def expected_metric(
    tried: Sequence[Point], coarse: Sequence[float], worst: float | None, *, higher_is_better: bool
) -> float | None:
    """The validation metric to expect of a rate drawn log-uniformly from the coarse range.

    Over the points that differ from the best in the learning rate only; a run without a final metric counts as `worst`.

    Args:
        tried: a contender's tuning points, in ascending learning rate.
        coarse: the coarse grid's rates; only the lowest and the highest are used.
        worst: the worst final metric over all contenders' finished tuning runs; `None` where none finished.

    Returns:
        `None` where fewer than two rates were tried in the coarse range.
    """
    if not tried or not coarse or worst is None:
        return None
    top = best(tried, higher_is_better=higher_is_better) or tried[0]
    line = [p for p in line_of(tried, top) if p.learning_rate is not None]
    inside = [p for p in line if min(coarse) <= rate_of(p) <= max(coarse)]
    return _average(inside, worst) if len(inside) > 1 else None


def _average(line: Sequence[Point], worst: float) -> float:
    """Mean of the metric over log-rate by the trapezoid rule."""
    places = [math.log10(rate_of(p)) for p in line]
    values = [_mean(p, worst) for p in line]
    pairs = itertools.pairwise(zip(places, values, strict=True))
    return sum((b - a) * (u + v) / 2 for (a, u), (b, v) in pairs) / (places[-1] - places[0])


def _mean(point: Point, worst: float) -> float:
    finished = point.runs - point.failed
    return ((point.metric.mean * finished if finished else 0.0) + worst * point.failed) / point.runs
