"""Conformal prediction: distances that hold for a new task as often as for those of a calibration."""

import math
from collections.abc import Collection, Sequence


def conformal_quantile(groups: Collection[Sequence[float]], coverage: float) -> float:
    """The least score that `coverage`, in (0, 1), of the scores do not exceed, in a new group of scores as well.

    Every group has the same weight, and one more group, of infinite scores, stands for the new one: infinity where
    there are too few groups. Where groups are exchangeable, and the scores within each, a score of a new group is at
    most this with a probability of at least `coverage` (Dunn, Wasserman and Ramdas 2023, JASA 118; with one score in
    each group, it is the quantile of split conformal prediction, the ⌈(n + 1)·coverage⌉-th smallest of n).
    """
    weighted = sorted((score, 1 / len(group)) for group in groups for score in group)
    needed, reached = coverage * (len(groups) + 1) - 1e-9, 0.0
    for score, weight in weighted:
        reached += weight
        if reached >= needed:
            return score
    return math.inf


def share_interval(hits: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """The exact binomial interval of a share (Clopper and Pearson 1934). 0 ≤ hits ≤ of, of ≥ 1."""
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = float(betaincinv(hits, of - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, of - hits, 1 - tail)) if hits < of else 1.0
    return low, high
