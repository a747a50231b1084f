"""Tie groups: contenders not significantly different, at one family-wise error rate for the whole table.

Simulated with 2 to 11 identical contenders (shared seed effect plus noise), none is separated from the first in at
least 95% of studies; with five seeds or more in at least 92% where one is ten times as noisy, half of them six times,
or their noise is lognormal; with eleven contenders, uncorrected 5% tests against the first would separate one in 60%.
With two or three seeds nobody can tell unequal noise from luck, and a stricter level makes up for most of it.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thalweg.analysis.noise import noise
from thalweg.analysis.studentized_range import upper_quantile

RULE = (
    "A contender is clearly behind where it trails the first by more than Tukey's studentized range allows for all of "
    "them together at 5%, seed by seed, with the larger of the pair's own standard error and one shrunk toward the "
    "usual one in the table; those behind are set aside and the rest compared again, until no more fall."
)
"""The rule in one sentence, printed by reports."""

LEVEL = 0.95  # minimum probability that all tie where all are identical
ENOUGH = 5  # seeds from which the table tells unequal noise from luck
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
    known = noise(table, granularity)
    allowed = critical(level, contenders, seeds, known.freedom) * np.sqrt(known.variances / seeds)
    behind = (table[0] - table).mean(axis=1) > np.maximum(allowed, EQUAL * np.abs(table).max())
    return np.asarray(behind, dtype=np.bool_)


def critical(level: float, contenders: int, seeds: int, freedom: float) -> float:
    """The largest difference to the first that ties, in standard errors."""
    strict = 1 - (1 - level) * min(1.0, seeds / ENOUGH) if contenders > 2 else level
    return upper_quantile(strict, contenders, max(1, math.floor(freedom))) / math.sqrt(2)
