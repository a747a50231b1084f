"""The smallest difference that a study's design can be expected to separate, and what more seeds would make of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.analysis.noise import noise

POWER = 0.8  # share of studies in which a difference of the size stated is separated
MORE = 20  # seeds for which the difference is stated beside
CONTENDERS = (2, 3, 4, 6, 11, 20, 40)
SEEDS = (2, 3, 4, 5, 7, 10, 20, 40)
IN_NOISE = (
    (26.6, 5.06, 2.84, 2.03, 1.46, 1.09, 0.694, 0.466),
    (20.2, 4.62, 2.74, 2.07, 1.5, 1.14, 0.729, 0.498),
    (16.4, 4.21, 2.68, 2.04, 1.5, 1.18, 0.764, 0.518),
    (12, 3.99, 2.67, 2.07, 1.59, 1.23, 0.799, 0.537),
    (9.14, 3.74, 2.73, 2.15, 1.68, 1.33, 0.869, 0.58),
    (8.62, 3.86, 2.85, 2.28, 1.76, 1.41, 0.941, 0.643),
    (8.38, 3.85, 2.89, 2.43, 1.91, 1.54, 1.02, 0.691),
)
"""The difference as a multiple of the noise that a study measures, its own uncertainty included, for `CONTENDERS`
(rows) and `SEEDS`: simulated studies in which the first leads all others by it separate 80% of them by `ties`.
`python benchmarks/separable.py` prints it anew.

Of contenders that are equally noisy. With a lognormal factor (σ = 0.7) on each one's noise it is 64 to 73%, with skewed
(lognormal) noise and 11 contenders 38 to 48%; where the first is four times as noisy as the others, 35 to 59% of 4
contenders and 22 to 33% of 11; where it is four times as steady, at least 78%.
"""


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
        `None` with fewer than two contenders or seeds, which separate nothing, and where squares overflow.
    """
    table = np.asarray(scores, float)
    if table.ndim < 2 or min(table.shape) < 2:
        return None
    contenders, seeds = table.shape
    usual = math.sqrt(noise(table, granularity).usual)
    if not math.isfinite(usual):
        return None
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
