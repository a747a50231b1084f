"""Whether scores of two studies differ, contender by contender, at one error rate for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.analysis import moments
from thalweg.analysis.intervals import Interval
from thalweg.analysis.ties import EQUAL


@dataclass(frozen=True)
class Comparison:
    """What changed from `before` to `after`, in the scores' own unit.

    interval: the mean of after − before; its ends exclude 0 just where p < 1 − level. p: two-sided, in [0, 1];
        `None`, and the ends NaN, with fewer than two pairs, or two values on a side.
    """

    interval: Interval
    p: float | None


@np.errstate(all="ignore")  # whatever the caller has numpy raise
def paired(before: Sequence[float], after: Sequence[float], rounding: float = 0.0, level: float = 0.95) -> Comparison:
    """Student's t on the differences of the same seeds.

    Args:
        before, after: a score a seed, in the same order of seeds; at least one.
        rounding: the variance that the rounding of the scores gives one difference; what they show is never taken
            to be less.
        level: of the interval, in (0, 1).
    """
    differences = [y - x for x, y in zip(before, after, strict=True)]
    count = len(differences)
    variance = max(moments.variance(differences), rounding) if count > 1 else 0.0
    mean, scale = moments.mean(differences), max(map(abs, (*before, *after)))
    return _compared(mean, variance / count, count - 1, count, scale, level)


@np.errstate(all="ignore")  # whatever the caller has numpy raise
def unpaired(
    before: Sequence[float], after: Sequence[float], roundings: tuple[float, float] = (0.0, 0.0), level: float = 0.95
) -> Comparison:
    """Welch's t on scores of different seeds; where the sides have different numbers of them, with the degrees of
    freedom of the smaller one, which never passes too often (Hsu 1938). Welch's own would let two noisy seeds against
    ten steady ones with the same mean pass at 1% in 7% of cases.

    Args:
        before, after: at least one score each.
        roundings: the variances that rounding gives one score of either side.
        level: of the interval, in (0, 1).
    """
    fewer = min(len(before), len(after))
    mean, scale = moments.mean(after) - moments.mean(before), max(map(abs, (*before, *after)))
    if fewer < 2:
        return _compared(mean, 0.0, 0, fewer, scale, level)
    a, b = (_of_mean(values, least) for values, least in zip((before, after), roundings, strict=True))
    share = a / (a + b) if len(before) == len(after) and a + b else 1.0
    return _compared(mean, a + b, (fewer - 1) / (share**2 + (1 - share) ** 2), fewer, scale, level)


@np.errstate(all="ignore")  # whatever the caller has numpy raise
def losses(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Fisher's exact test on (runs lost, runs) of both sides: p, two-sided, in [0, 1]; 1 where neither lost any."""
    from scipy.stats import fisher_exact

    table = np.array([[lost, runs - lost] for lost, runs in (before, after)])
    return float(fisher_exact(table).pvalue)


def holm(ps: Sequence[float], rate: float = 0.05) -> list[bool]:
    """Which of several tests pass, so that where nothing changed any passes with probability `rate` at most.

    However the tests depend on one another (Holm 1979, Scandinavian Journal of Statistics 6).
    """
    passed = [False] * len(ps)
    for left, i in zip(range(len(ps), 0, -1), sorted(range(len(ps)), key=ps.__getitem__), strict=True):
        if ps[i] > rate / left:
            break
        passed[i] = True
    return passed


def _of_mean(values: Sequence[float], least: float) -> float:
    """Variance of the mean."""
    return max(moments.variance(values), least) / len(values)


def _compared(mean: float, variance: float, freedom: float, count: int, scale: float, level: float) -> Comparison:
    """variance: of the mean. Differences that are rounding errors, relative to the scores' scale, are none."""
    from scipy.special import stdtr, stdtrit  # Student's t: its distribution, and the inverse

    if count < 2:
        return Comparison(Interval(mean, float("nan"), float("nan"), count), None)
    error = variance**0.5
    half = float(stdtrit(freedom, (1 + level) / 2)) * error
    interval = Interval(mean, mean - half, mean + half, count)
    if abs(mean) <= EQUAL * scale:
        return Comparison(interval, 1.0)
    return Comparison(interval, 2 * float(stdtr(freedom, -abs(mean) / error)) if error else 0.0)
