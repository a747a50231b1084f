"""Values that a metric can have, and differences too small to matter."""

import math
import re
from dataclasses import replace

from thalweg.analysis.intervals import Interval
from thalweg.options.metric_kinds import is_share

NEGLIGIBLE = 0.02  # of the error that is left, or of the value of a metric without a best one
TOLERABLE = 0.25  # likewise, the most that a learning rate may lose and count as good
ERRORS = re.compile("mse|mae|rmse", re.IGNORECASE)


def limits(metric: str) -> tuple[float, float]:
    """The lowest and the highest value that a metric of this name can have; infinite where they are not known."""
    if is_share(metric):
        return 0.0, 1.0
    if ERRORS.fullmatch(metric):
        return 0.0, math.inf
    if metric in ("r2", "R2", "R²"):
        return -math.inf, 1.0
    return (1.0, math.inf) if metric == "perplexity" else (-math.inf, math.inf)


def within(interval: Interval, metric: str) -> Interval:
    """The interval, with ends no further than the metric can be. A mean beyond its limits moves them."""
    low, high = limits(metric)
    low, high = min(low, interval.mean), max(high, interval.mean)
    if not (interval.low < low or interval.high > high):
        return interval
    return replace(interval, low=max(low, interval.low), high=min(high, interval.high), cut=True)


def negligible(metric: str, value: float, *, higher_is_better: bool) -> float:
    """A difference from `value` that no practitioner acts on, in the metric's unit: 2% of the error left (0.06 points
    at an accuracy of 97%), or of the value where the metric has no best one."""
    return NEGLIGIBLE * _left(metric, value, higher_is_better)


def tolerated(metric: str, value: float, resolved: float, gained: float = math.inf, *, higher_is_better: bool) -> float:
    """How far below a best `value` still counts as good, in the metric's unit: what the study can tell apart, at least
    what is negligible, and at most a quarter of the error left and of what training gained.

    resolved: the difference that the study can tell apart; 0 where nothing tells. gained: how much better the metric is
    at the best rate than at one that learns little; infinite where that is unknown.
    """
    left = _left(metric, value, higher_is_better)
    return max(NEGLIGIBLE * min(left, gained), min(resolved, TOLERABLE * left, TOLERABLE * gained))


def _left(metric: str, value: float, higher_is_better: bool) -> float:
    """The error that is left; of a metric without a best value the size of the value."""
    best = limits(metric)[1] if higher_is_better else 0.0
    return abs(best - value if math.isfinite(best) else value)
