"""Means with confidence intervals over seeds."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalweg.analysis import moments

RESAMPLES = 5000
FEWEST = 10  # values from which the bootstrap reaches its nominal coverage


@dataclass(frozen=True)
class Interval:
    """A mean over `count` seeds with its interval; low and high are NaN for fewer than two.

    pair: the two values, ascending, where there are two: an interval by Student's t is 9 times as wide as they lie.
    cut: whether it ends at what the metric can be.
    """

    mean: float
    low: float
    high: float
    count: int
    pair: tuple[float, float] | None = None
    cut: bool = False

    @property
    def margin(self) -> float:
        """Half the interval's width; NaN for fewer than two seeds."""
        return (self.high - self.low) / 2


@np.errstate(all="ignore")  # independent of the caller's errstate
def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean with an interval that covers the true one at `level` in (0, 1); seeds are independent draws.

    From ten values on the percentile bootstrap, its level expanded for small samples (Hesterberg 2015, The American
    Statistician 69(4)). Below that Student's t, since all resamples lie between the lowest and the highest value: for
    normal values the bootstrap's 95% intervals cover 51, 74, 88, 91 and 95% with 2, 3, 4, 5 and 10 of them. The order
    of the values does not matter, and the same values always give the same interval.
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = moments.mean(values)
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    pair = (min(values), max(values)) if n == 2 else None
    if min(values) == max(values):
        return Interval(values[0], values[0], values[0], n, pair)
    low, high = _bootstrap(tuple(sorted(values)), level) if n >= FEWEST else _student(values, mean, level)
    return Interval(mean, low, high, n, pair)


def paired_interval(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of a − b with its interval, for values paired by seed.

    Raises:
        ValueError: where their lengths differ.
    """
    return mean_interval([x - y for x, y in zip(a, b, strict=True)], level)


@functools.cache
def expanded(level: float, n: int) -> float:
    """The level at which the percentile bootstrap of n ≥ 2 values covers like Student's t at `level`.

    The tail is Φ(−√(n / (n − 1)) · t), t the upper quantile of Student's t with n − 1 degrees of freedom.
    """
    from scipy.special import ndtr  # not scipy.stats, whose import takes half a second

    return 1 - 2 * float(ndtr(-math.sqrt(n / (n - 1)) * _upper(level, n)))


@functools.cache
def _upper(level: float, n: int) -> float:
    """Upper Student's t quantile of a two-sided interval over n values."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, (1 + level) / 2))


@functools.lru_cache(4096)
def _bootstrap(values: tuple[float, ...], level: float) -> tuple[float, float]:
    n, tail = len(values), (1 - expanded(level, len(values))) / 2
    drawn = np.random.default_rng(0).integers(0, n, (RESAMPLES, n))
    means = np.sort(np.mean(np.array(values)[drawn], axis=-1))
    return _quantile(means, tail), _quantile(means, 1 - tail)


def _quantile(ordered: NDArray[np.float64], share: float) -> float:
    """Between the two nearest of the ascending values, linearly; share: in (0, 1)."""
    position = share * len(ordered) + (1 - share)  # from 1, rounded as scipy.stats rounds it
    below = min(int(position), len(ordered) - 1)
    part = position % 1
    return float((1 - part) * ordered[below - 1] + part * ordered[below])


def _student(values: Sequence[float], mean: float, level: float) -> tuple[float, float]:
    half = _upper(level, len(values)) * standard_error(values)
    return mean - half, mean + half


def standard_error(values: Sequence[float]) -> float:
    """Standard error of the mean; 0 for fewer than two values."""
    return moments.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def interquartile_mean(values: Sequence[float]) -> float:
    """The mean of the middle half: a quarter of the values, rounded down, is left out at each end. NaN where empty."""
    cut = len(values) // 4
    middle = sorted(values)[cut : len(values) - cut]
    return moments.mean(middle) if middle else math.nan


def probability_of_improvement(a: Sequence[float], b: Sequence[float], *, higher_is_better: bool = True) -> float:
    """Probability that a run of `a` beats one of `b`, in [0, 1]; ties count half, NaN where `a` or `b` is empty.

    Over all pairs of runs, regardless of seed, as in Agarwal et al. 2021 (NeurIPS).
    """
    if not len(a) or not len(b):
        return math.nan
    difference = np.subtract.outer(np.asarray(a, float), np.asarray(b, float))
    wins = np.sign(difference if higher_is_better else -difference)
    return float(np.mean((wins + 1) / 2))
