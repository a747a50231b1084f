"""The noise of paired differences between contenders, moderated between each one's own and what is usual in the table.

A few seeds tell little of one contender's noise, and contenders are not equally noisy: the variances are shrunk toward
a common one as far as their own scatter allows (Smyth 2004, doi:10.2202/1544-6115.1027), and never below their own.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WILD = 100.0  # multiple of the median variance above which a contender is excluded from what is usual
STEADY = 1e-6  # share of the median variance below which a variance counts as this

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """variances: of each contender's difference to the first by seed; freedom: their degrees of freedom, at least 1;
    usual: the variance of a difference between two contenders of the usual noise."""

    variances: Scores
    freedom: float
    usual: float


@np.errstate(all="ignore")  # independent of the caller's errstate
def noise(table: Scores, granularity: float = 0.0) -> Noise:
    """The noise of a table of scores, [contenders, seeds], at least two of each, columns paired by seed, the best mean
    first. granularity: smallest step between two scores; 0 where they are continuous."""
    contenders, seeds = table.shape
    rounding = granularity**2 / 6  # variance of the difference of two rounded values
    own = np.maximum((table[0] - table).var(axis=1, ddof=1), rounding)  # the first's own is 0
    if contenders == 2:
        return Noise(own, seeds - 1, float(own[1]))
    tame = own <= WILD * np.median(own[1:])  # the first's is
    squares = np.square(_residuals(table[tame])).sum(axis=1)
    freedom = (len(squares) - 1) * (seeds - 1)
    pooled = max(2 * float(squares.sum()) / freedom, rounding)
    pooled = pooled if math.isfinite(pooled) else math.inf  # of numbers whose squares overflow
    prior = _prior(squares, seeds - 1) if len(squares) > 2 else math.inf
    if math.isinf(prior) or not pooled:
        return Noise(np.maximum(own, pooled), freedom, pooled)
    usual = max(_centre(own[1:][tame[1:]], seeds - 1, prior), rounding)
    shrunk = (prior * usual + (seeds - 1) * own) / (prior + seeds - 1)
    return Noise(np.maximum(own, shrunk), min(prior + seeds - 1, freedom), usual)


def _residuals(table: Scores) -> Scores:
    """Residuals after subtracting contender and seed means (two-way layout)."""
    residuals = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return np.asarray(residuals, dtype=np.float64)


def _prior(squares: Scores, freedom: int) -> float:
    """Degrees of freedom that the common variance is worth: few where the contenders' logarithms of variances scatter
    by more than chance, infinite where they do not."""
    from scipy.special import polygamma

    known = np.maximum(squares, STEADY * np.median(squares))
    if not (known.min() > 0 and math.isfinite(known.max())):
        return math.inf
    excess = float(np.log(known).var(ddof=1)) - float(polygamma(1, freedom / 2))
    return math.inf if excess <= 0 else 2 * _inverse_trigamma(excess)


def _centre(own: Scores, freedom: int, prior: float) -> float:
    """The variance toward which all are shrunk: the mean of their logarithms, less the bias of a logarithm."""
    from scipy.special import digamma

    known = np.maximum(own, STEADY * np.median(own))
    if not (known.min() > 0 and math.isfinite(known.max())):
        return 0.0
    bias = digamma(freedom / 2) - math.log(freedom / 2) - digamma(prior / 2) + math.log(prior / 2)
    return math.exp(min(float(np.log(known).mean() - bias), 700.0))


def _inverse_trigamma(value: float) -> float:
    """x > 0 with ψ'(x) = value > 0, by Newton's method on 1/ψ' (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if value > 1e7:
        return 1 / math.sqrt(value)
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x
