"""Significance tests on the scores of two studies, and Holm's correction over contenders."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.analysis import moments
from thalweg.analysis.intervals import Interval
from thalweg.analysis.ties import EQUAL


@dataclass(frozen=True)
class Comparison:
    """Result of a test of after − before, in the scores' unit.

    interval: the mean of after − before; it excludes 0 if and only if p < 1 − level. p: two-sided, in [0, 1]; `None`,
        and the ends NaN, with fewer than two pairs, or fewer than two values on a side.
    """

    interval: Interval
    p: float | None


@np.errstate(all="ignore")  # independent of the caller's errstate
def paired(before: Sequence[float], after: Sequence[float], rounding: float = 0.0, level: float = 0.95) -> Comparison:
    """Paired Student's t test over common seeds.

    Args:
        before, after: one score per seed, in the same order of seeds; at least one.
        rounding: variance of one difference due to the scores' rounding, a lower bound of the sample variance.
        level: confidence level of the interval, in (0, 1).
    """
    differences = [y - x for x, y in zip(before, after, strict=True)]
    count = len(differences)
    variance = max(moments.variance(differences), rounding) if count > 1 else 0.0
    mean, scale = moments.mean(differences), max(map(abs, (*before, *after)))
    return _compared(mean, variance / count, count - 1, count, scale, level)


@np.errstate(all="ignore")  # independent of the caller's errstate
def unpaired(
    before: Sequence[float], after: Sequence[float], roundings: tuple[float, float] = (0.0, 0.0), level: float = 0.95
) -> Comparison:
    """Welch's t test on scores of different seeds.

    With unequal counts it uses the degrees of freedom of the smaller side, which is conservative (Hsu 1938): Welch's
    own would reject at 1% in 7% of cases for two noisy seeds against ten steady ones with the same mean.

    Args:
        before, after: at least one score each.
        roundings: variance of one score of each side due to rounding, a lower bound of its sample variance.
        level: confidence level of the interval, in (0, 1).
    """
    fewer = min(len(before), len(after))
    mean, scale = moments.mean(after) - moments.mean(before), max(map(abs, (*before, *after)))
    if fewer < 2:
        return _compared(mean, 0.0, 0, fewer, scale, level)
    a, b = (_of_mean(values, least) for values, least in zip((before, after), roundings, strict=True))
    share = a / (a + b) if len(before) == len(after) and a + b else 1.0
    return _compared(mean, a + b, (fewer - 1) / (share**2 + (1 - share) ** 2), fewer, scale, level)


def losses(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Two-sided p of Fisher's exact test on each side's (runs lost, runs), in [0, 1]; 1 where neither lost any.

    The share of all ways to distribute the lost runs over both sides that are at most as frequent as this one.
    """
    (first, runs), (second, others) = before, after
    lost = first + second
    ways = [math.comb(runs, x) * math.comb(others, lost - x) for x in range(max(0, lost - others), min(lost, runs) + 1)]
    seen = math.comb(runs, first) * math.comb(others, second)
    return sum(way for way in ways if way <= seen) / sum(ways)


def holm(ps: Sequence[float], rate: float = 0.05) -> list[bool]:
    """Which tests are significant at the family-wise error rate `rate`, by Holm's step-down procedure.

    Valid under any dependence between the tests (Holm 1979, Scandinavian Journal of Statistics 6).
    """
    passed = [False] * len(ps)
    for left, i in zip(range(len(ps), 0, -1), sorted(range(len(ps)), key=ps.__getitem__), strict=True):
        if ps[i] > rate / left:
            break
        passed[i] = True
    return passed


def adjusted(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p, in [0, 1]: the least family-wise error rate at which `holm` has each test significant."""
    found, least = [1.0] * len(ps), 0.0
    for left, i in zip(range(len(ps), 0, -1), sorted(range(len(ps)), key=ps.__getitem__), strict=True):
        least = max(least, min(1.0, left * ps[i]))
        found[i] = least
    return found


def _of_mean(values: Sequence[float], least: float) -> float:
    """Variance of the mean; `least` bounds the variance of one value from below."""
    return max(moments.variance(values), least) / len(values)


def _compared(mean: float, variance: float, freedom: float, count: int, scale: float, level: float) -> Comparison:
    """Interval and p by Student's t. variance: of the mean. A mean that is a rounding error of `scale` has p = 1."""
    from scipy.special import stdtr, stdtrit  # Student's t: CDF and inverse CDF

    if count < 2:
        return Comparison(Interval(mean, float("nan"), float("nan"), count), None)
    error = variance**0.5
    half = float(stdtrit(freedom, (1 + level) / 2)) * error
    interval = Interval(mean, mean - half, mean + half, count)
    if abs(mean) <= EQUAL * scale:
        return Comparison(interval, 1.0)
    return Comparison(interval, 2 * float(stdtr(freedom, -abs(mean) / error)) if error else 0.0)
