"""Tie groups: contenders not significantly different, at one family-wise error rate for the whole table.

Simulated with 2 to 11 identical contenders (shared seed effect plus noise) and 2 to 10 seeds, all tie with the first in
95 to 97% of studies; with eleven contenders, uncorrected 5% tests against the first would separate one in 60%.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RULE = (
    "A contender is clearly behind where it trails the first by more than Tukey's studentized range allows for all of "
    "them together at 5%, seed by seed, with the larger of the pair's own standard error and the one pooled over all "
    "but wildly noisy ones; those behind are set aside and the rest compared again, until no more fall."
)
"""The rule in one sentence, printed by reports."""

LEVEL = 0.95  # minimum probability that all tie where all are identical
WILD = 100.0  # multiple of the median variance above which a contender is excluded from the pooled variance
EQUAL = 1e-9  # differences below this, relative to the scores, are rounding errors

Scores = NDArray[np.float64]


@np.errstate(all="ignore")  # independent of the caller's errstate
def ties(scores: Sequence[Sequence[float]], level: float = LEVEL, granularity: float = 0.0) -> list[bool]:
    """Which contenders tie with the first by `RULE`; all do with fewer than two seeds.

    Args:
        scores: [contenders, seeds], higher is better, columns paired by seed, the best mean first.
        level: minimum probability that all tie where all are identical; in (0, 1).
        granularity: smallest step between two scores, 1/samples for an accuracy; 0 where scores are continuous.
    """
    table = np.asarray(scores, float)
    tied = [True] * len(scores)
    if table.ndim < 2 or table.shape[1] < 2:
        return tied
    left = np.arange(len(scores))
    while len(left) > 1:
        behind = _behind(table[left], level, granularity)
        if not behind.any():
            break
        for i in left[behind]:
            tied[i] = False
        left = left[~behind]
    return tied


def tie_groups(scores: Sequence[Sequence[float]], level: float = LEVEL, granularity: float = 0.0) -> list[int]:
    """Group numbers from 1: the first contender and its ties, then the best of the remaining and its ties, and so on.

    Arguments as for `ties`. A noisy contender may belong to an earlier group than a steadier one ranked above it.
    """
    groups = [0] * len(scores)
    left, group = list(range(len(scores))), 0
    while left:
        group += 1
        tied = ties([scores[i] for i in left], level, granularity)
        for i, same in zip(left, tied, strict=True):
            groups[i] = group if same else 0
        left = [i for i in left if not groups[i]]
    return groups


def _behind(table: Scores, level: float, granularity: float) -> NDArray[np.bool_]:
    """Which contenders (rows) are significantly behind the first, in one pass."""
    contenders, seeds = table.shape
    differences = table[0] - table
    own = _own_variances(table, granularity)
    tame = table[_tame(own)]
    error = np.sqrt(np.maximum(own, _pooled(tame, granularity)) / seeds)
    allowed = range_quantile(level, contenders, _freedom(tame)) / math.sqrt(2) * error
    behind = differences.mean(axis=1) > np.maximum(allowed, EQUAL * np.abs(table).max())
    return np.asarray(behind, dtype=np.bool_)


@np.errstate(all="ignore")  # independent of the caller's errstate
def pooled_variance(table: Scores, granularity: float = 0.0) -> float:
    """Variance of a paired difference of one seed, pooled over all but wildly noisy contenders (rows); at least 2."""
    return _pooled(table[_tame(_own_variances(table, granularity))], granularity)


def _own_variances(table: Scores, granularity: float) -> Scores:
    """Of each contender's difference to the first, by seed; the first's own is 0."""
    found = np.maximum((table[0] - table).var(axis=1, ddof=1), _rounding(granularity))
    return np.asarray(found, dtype=np.float64)


def _tame(own: Scores) -> NDArray[np.bool_]:
    return np.asarray(own <= WILD * np.median(own[1:]), dtype=np.bool_)  # the first is


def _pooled(tame: Scores, granularity: float) -> float:
    return max(2 * float((_residuals(tame) ** 2).sum()) / _freedom(tame), _rounding(granularity))


def _freedom(tame: Scores) -> int:
    return (len(tame) - 1) * (int(tame.shape[1]) - 1)


def _rounding(granularity: float) -> float:
    """Variance of the difference of two rounded values."""
    return granularity**2 / 6


def _residuals(table: Scores) -> Scores:
    """Residuals after subtracting contender and seed means (two-way layout)."""
    residuals = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return np.asarray(residuals, dtype=np.float64)


@functools.cache
def range_quantile(level: float, contenders: int, freedom: int) -> float:
    """Quantile of Tukey's studentized range."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(level, contenders, freedom))
