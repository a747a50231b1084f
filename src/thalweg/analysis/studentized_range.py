"""Quantiles of the studentized range (Tukey), by numerical integration."""

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

Z = np.arange(-9.0, 9.05, 0.1)  # the largest of the normal values: beyond, its density is below 1e-17
SHARE = 1e-17  # of the density of the standard deviation that is left out


@functools.cache
def upper_quantile(level: float, groups: int, freedom: int) -> float:
    """The value that the range of `groups` means, in their standard error, stays below with probability `level`.

    Args:
        level: in (0, 1).
        groups: number of means, at least 2.
        freedom: degrees of freedom of the standard error, at least 1.
    """
    scales, weights = _scales(freedom)

    def excess(log_range: float) -> float:
        return float(weights @ _range_cdf(math.exp(log_range) * scales, groups)) - level

    return math.exp(_root(excess, -12.0, 12.0))


def _scales(freedom: int) -> tuple[Values, Values]:
    """(values of s, weights that sum to one), s the square root of chi square over its degrees of freedom.

    By the trapezoid rule in log s, whose error falls exponentially with the step for such smooth tails: a step of half
    the standard deviation of log s, and at most 0.1, leaves rounding errors.
    """
    spread = 1 / math.sqrt(2 * freedom)
    step = min(0.1, spread / 2)
    lowest = max(10 * spread, -math.log(SHARE) / freedom)
    logs = np.arange(-lowest, 10 * spread + 2 * step, step)
    density = np.exp(freedom * (logs - np.expm1(2 * logs) / 2))  # but for a constant factor
    return np.exp(logs), density / density.sum()


def _range_cdf(ranges: Values, groups: int) -> Values:
    """Probabilities that the range of `groups` standard normal values is at most each of `ranges`."""
    from scipy.special import ndtr

    density = np.exp(-(Z**2) / 2) / math.sqrt(2 * math.pi)
    others = (ndtr(Z) - ndtr(Z - ranges[:, None])) ** (groups - 1)  # lie within the range below the largest
    return np.asarray(groups * (Z[1] - Z[0]) * (others @ density), dtype=np.float64)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """The root of an increasing function between `low` and `high`, by regula falsi (the Illinois variant)."""
    at_low, at_high, last = function(low), function(high), 0
    for _ in range(200):
        middle = low - at_low * (high - low) / (at_high - at_low)
        value = function(middle)
        if value == 0 or high - low < 1e-13 or middle in (low, high):
            return middle
        if value < 0:
            low, at_low, at_high = middle, value, at_high / 2 if last < 0 else at_high
        else:
            high, at_high, at_low = middle, value, at_low / 2 if last > 0 else at_low
        last = -1 if value < 0 else 1
    raise AssertionError("regula falsi did not converge")
