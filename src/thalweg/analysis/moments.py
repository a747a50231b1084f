"""Mean and variance of finite numbers; a result that overflows a float is infinite instead of an OverflowError."""

import math
import statistics
from collections.abc import Iterable, Sequence


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean. Raises `statistics.StatisticsError` where empty."""
    held = list(values)
    try:
        return statistics.fmean(held)
    except OverflowError:  # the sum overflows a float, the mean does not
        largest = max(map(abs, held))
        return largest * statistics.fmean(x / largest for x in held)


def variance(values: Sequence[float]) -> float:
    """The sample variance of two or more values; infinite on overflow."""
    try:
        return statistics.variance(values)
    except OverflowError:
        return math.inf


def stdev(values: Sequence[float]) -> float:
    """The sample standard deviation of two or more values; infinite on overflow."""
    try:
        return statistics.stdev(values)
    except OverflowError:
        return math.inf
