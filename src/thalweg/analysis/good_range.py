"""The good range of a contender: the learning rates that do as well as its best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from thalweg.analysis import moments
from thalweg.analysis.selection import Point, best, line_of, rate_of

ROUNDING = 1e-9


@dataclass(frozen=True)
class GoodRange:
    """Contiguous learning rates, tried ones, whose mean validation metric is as good as the best.

    low, high: its ends. least, most: its width in decades where one tuning seed is left out, the narrowest and the
    widest, of it and the whole; `None` with a single tuning seed, which does not tell how far the width is chance.
    """

    low: float
    high: float
    least: float | None
    most: float | None

    @property
    def decades(self) -> float:
        """Its width, log10(high / low)."""
        return math.log10(self.high / self.low)


def good_range(
    tried: Sequence[Point], chosen: Point | None, tolerance: float, *, higher_is_better: bool
) -> GoodRange | None:
    """The good range over the points that differ from the best in the learning rate only.

    Args:
        tried: a contender's tuning points, in ascending learning rate.
        chosen: the choice, which it holds where it lies on that line.
        tolerance: how far below the best still counts as good, in the metric's unit; see `metric_range.tolerated`.

    Returns:
        `None` where no rate was tuned, or none finished with every seed.
    """
    top = best(tried, higher_is_better=higher_is_better)
    if top is None or top.learning_rate is None:
        return None
    line, sign = line_of(tried, top), 1.0 if higher_is_better else -1.0
    if len(line) < 2:
        return None
    keep = line.index(chosen) if chosen in line else line.index(top)
    first, last = _around(line, lambda p: sign * p.metric.mean, tolerance, keep)
    widths = [_without(line, seed, sign, tolerance, keep) for seed in _seeds(line)]
    widths = [*widths, _decades(line, first, last)] if widths else []
    return GoodRange(rate_of(line[first]), rate_of(line[last]), min(widths, default=None), max(widths, default=None))


def _seeds(line: Sequence[Point]) -> list[int]:
    """Seeds of which each may be left out, every point keeping another."""
    able = [p.values for p in line if p.eligible]
    seeds = set[int]().union(*able)
    return sorted(seed for seed in seeds if all(set(values) - {seed} for values in able)) if len(seeds) > 1 else []


def _without(line: Sequence[Point], seed: int, sign: float, tolerance: float, keep: int) -> float:
    """The width in decades by the other seeds."""

    def merit(point: Point) -> float:
        return sign * moments.mean(value for of, value in point.values.items() if of != seed)

    return _decades(line, *_around(line, merit, tolerance, keep))


def _around(line: Sequence[Point], merit: Callable[[Point], float], tolerance: float, keep: int) -> tuple[int, int]:
    """First and last index of the points around the best that are within the tolerance, and up to the one to keep."""
    merits: Mapping[int, float] = {i: merit(p) for i, p in enumerate(line) if p.eligible}
    top = max(merits, key=merits.__getitem__)
    least = merits[top] - tolerance - ROUNDING * abs(merits[top])
    low = high = top
    while merits.get(low - 1, -math.inf) >= least:
        low -= 1
    while merits.get(high + 1, -math.inf) >= least:
        high += 1
    return min(low, keep), max(high, keep)


def _decades(line: Sequence[Point], first: int, last: int) -> float:
    return math.log10(rate_of(line[last]) / rate_of(line[first]))
