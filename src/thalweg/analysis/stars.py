"""The textbook's star table, measured: convergence speed and convergence quality, one to three stars each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from thalweg.analysis.cost import Target

FAST, MODERATE = 1.5, 3.0  # multiples of the fastest contender's steps to target
CLOSE = 0.01  # relative distance from the first contender's mean
ROUNDING = 1e-9

RULE = (
    f"Speed: median steps to the target at most {FAST:g} times the fastest's for three stars, {MODERATE:g} times for "
    "two, else one, as where a final run misses the target. Quality: three stars for what is not separated from the "
    f"first, two for a mean within {CLOSE:.0%} of its, else one, as where a final run failed."
)
"""The rule printed under the table."""


@dataclass(frozen=True)
class Stars:
    """Stars from 1 to 3. speed: `None` without a target or final run. quality: `None` where no final run finished."""

    speed: int | None
    quality: int | None


def fastest(targets: Sequence[Target]) -> float | None:
    """The fewest median steps to target, over contenders whose final runs all reach it; `None` without any."""
    steps = [t.steps for t in targets if t.steps is not None and t.reached == t.runs]
    return min(steps, default=None)


def speed(target: Target, least: float | None) -> int:
    """Stars for speed. least: the fastest's steps; `None` where no contender reaches the target with every run."""
    if target.steps is None or least is None or target.reached < target.runs:
        return 1
    return _graded(target.steps / least, FAST, MODERATE) if least else 3


def quality(mean: float, first: float, *, tied: bool, reliable: bool) -> int | None:
    """Stars for quality. mean: NaN where no run finished. first: mean of the first contender. reliable: whether
    every final run trained."""
    if math.isnan(mean):
        return None
    if not reliable:
        return 1
    return 3 if tied else 2 if abs(mean - first) <= (CLOSE + ROUNDING) * abs(first) else 1


def _graded(ratio: float, three: float, two: float) -> int:
    return 3 if ratio <= three else 2 if ratio <= two else 1
