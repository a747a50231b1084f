"""Means and spreads of any finite numbers: what a float cannot hold is infinite, and nothing is raised."""

import math
import statistics
from collections.abc import Iterable, Sequence


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean. Raises `statistics.StatisticsError` where empty."""
    held = list(values)
    try:
        return statistics.fmean(held)
    except OverflowError:  # their sum is beyond a float, their mean is not
        largest = max(map(abs, held))
        return largest * statistics.fmean(x / largest for x in held)


def variance(values: Sequence[float]) -> float:
    """The sample variance of two or more; infinite beyond a float."""
    try:
        return statistics.variance(values)
    except OverflowError:
        return math.inf


def stdev(values: Sequence[float]) -> float:
    """The sample standard deviation of two or more; infinite beyond a float."""
    try:
        return statistics.stdev(values)
    except OverflowError:
        return math.inf
