"""Means with intervals over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean over `count` seeds with its interval; low and high are NaN for fewer than two."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def margin(self) -> float:
        """Half the interval's width; NaN for fewer than two seeds."""
        return (self.high - self.low) / 2


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean with Student's t interval at `level` in (0, 1); seeds are independent draws. NaN where empty."""
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(np.mean(values))
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, n - 1)) * standard_error(values)
    return Interval(mean, mean - half, mean + half, n)


def standard_error(values: Sequence[float]) -> float:
    """Standard error of the mean; 0 for fewer than two values."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
