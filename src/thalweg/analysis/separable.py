"""The smallest difference that a study's design can be expected to separate, and what more seeds would make of it."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.analysis.ties import LEVEL, pooled_variance, range_quantile

POWER = 0.8  # share of studies in which a difference of the size stated is separated
DRAWS = 4000  # simulated studies
MORE = 20  # seeds for which the difference is stated beside


@dataclass(frozen=True)
class Separable:
    """A difference between the first and another contender, in the metric's unit, that `ties` separates in `POWER` of
    studies of this design: so many contenders of the usual noise, so many final seeds.

    more: the same with `MORE` seeds; `None` where there are as many already.
    """

    difference: float
    seeds: int
    more: float | None


def separable(scores: Sequence[Sequence[float]], granularity: float = 0.0) -> Separable | None:
    """What a table of final scores can tell apart, by the noise that it shows.

    Args:
        scores: [contenders, seeds], columns paired by seed.
        granularity: smallest step between two scores, 1/samples for an accuracy; 0 where scores are continuous.

    Returns:
        `None` with fewer than two contenders or seeds, which separate nothing.
    """
    table = np.asarray(scores, float)
    if table.ndim < 2 or min(table.shape) < 2:
        return None
    contenders, seeds = table.shape
    noise = math.sqrt(pooled_variance(table, granularity))
    more = None if seeds >= MORE else _in_noise(contenders, MORE) * noise
    return Separable(_in_noise(contenders, seeds) * noise, seeds, more)


@functools.cache
def _in_noise(contenders: int, seeds: int) -> float:
    """The difference as a multiple of the noise that a study measures, itself uncertain: the standard deviation of a
    paired difference of one seed.

    In each simulated study `t` is the least true difference that `ties` would have separated, by the noise of that
    study; the noise that scales it in turn comes from another one.
    """
    draw = np.random.default_rng(0).standard_normal((DRAWS, contenders, seeds))
    residuals = draw - draw.mean(axis=2, keepdims=True) - draw.mean(axis=1, keepdims=True)
    residuals += draw.mean(axis=(1, 2), keepdims=True)
    freedom = (contenders - 1) * (seeds - 1)
    pooled = 2 * np.square(residuals).sum(axis=(1, 2)) / freedom
    pair = draw[:, 0] - draw[:, 1]
    error = np.sqrt(np.maximum(pair.var(axis=1, ddof=1), pooled) / seeds)
    least = range_quantile(LEVEL, contenders, freedom) / math.sqrt(2) * error - pair.mean(axis=1)
    return float(np.quantile(least / np.sqrt(np.roll(pooled, 1)), POWER))
