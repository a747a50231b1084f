"""The smallest difference that a study's design can be expected to separate, and what more seeds would make of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.analysis.noise import noise

MORE = 20  # seeds for which the difference is stated beside
CONTENDERS = (2, 3, 4, 6, 11, 20, 40)
SEEDS = (2, 3, 4, 5, 7, 10, 20, 40)
IN_NOISE = (
    (27.8, 5.11, 2.87, 2.08, 1.47, 1.10, 0.690, 0.465),
    (9.66, 3.73, 2.52, 2.00, 1.47, 1.13, 0.727, 0.491),
    (6.91, 3.36, 2.46, 1.97, 1.48, 1.15, 0.759, 0.513),
    (5.39, 3.18, 2.41, 1.97, 1.52, 1.20, 0.794, 0.543),
    (4.67, 3.10, 2.40, 2.02, 1.60, 1.28, 0.856, 0.588),
    (4.41, 3.08, 2.46, 2.11, 1.69, 1.36, 0.920, 0.634),
    (4.31, 3.16, 2.57, 2.22, 1.81, 1.47, 0.992, 0.687),
)
"""The difference as a multiple of the noise that a study measures, its own uncertainty included, for `CONTENDERS`
(rows) and `SEEDS`: simulated studies in which the first leads all others by it separate 80% of them by `ties`."""


@dataclass(frozen=True)
class Separable:
    """A difference between the first and the others, in the metric's unit, that `ties` separates in 80% of studies of
    this design, by the noise of its seeds.

    more: the same with `MORE` seeds; `None` where there are as many already.
    """

    difference: float
    seeds: int
    more: float | None


def separable(scores: Sequence[Sequence[float]], granularity: float = 0.0) -> Separable | None:
    """What a table of final scores can tell apart.

    Args:
        scores: [contenders, seeds], columns paired by seed, the best mean first.
        granularity: smallest step between two scores, 1/samples for an accuracy; 0 where scores are continuous.

    Returns:
        `None` with fewer than two contenders or seeds, which separate nothing.
    """
    table = np.asarray(scores, float)
    if table.ndim < 2 or min(table.shape) < 2:
        return None
    contenders, seeds = table.shape
    usual = math.sqrt(noise(table, granularity).usual)
    more = None if seeds >= MORE else in_noise(contenders, MORE) * usual
    return Separable(in_noise(contenders, seeds) * usual, seeds, more)


def in_noise(contenders: int, seeds: int) -> float:
    """The difference as a multiple of the standard deviation of a paired difference of one seed; both at least 2.

    Between the entries of `IN_NOISE` by powers of both; with more contenders than listed as with the most listed, and
    with more seeds by the square root of their number.
    """
    logs = np.log(IN_NOISE)
    by_seeds = [float(np.interp(math.log(seeds), np.log(SEEDS), row)) for row in logs]
    found = math.exp(float(np.interp(math.log(contenders), np.log(CONTENDERS), by_seeds)))
    return found * min(1.0, math.sqrt(SEEDS[-1] / seeds))
