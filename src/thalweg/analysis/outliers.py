"""Final runs that failed to train though they finished: far below the other seeds, by a contender's own scatter and by
that of the whole table.

Simulated with 2 to 20 seeds and 1 to 11 contenders, under normal noise, noise with tails (Student's t, 5 degrees of
freedom) and one contender five times as noisy, a run is called failed by chance in at most 2.2% of studies, and in at
most 1.2% of those with five seeds or more. Where one is twenty times as noisy, in at most 5%; fifty times, in 6% with
five seeds and in 20% with two.
"""

import statistics
from collections.abc import Mapping, Sequence

from thalweg.analysis import moments

FEW = 3  # seeds up to which scatter is hardly known
ENOUGH = 5  # seeds from which all but one may have failed
GAP, GAP_OF_FEW = 15.0, 50.0  # multiples of the scatter
NORMAL = 1.4826  # standard deviation over median absolute deviation, of normal values
OF_TWO = 0.886  # standard deviation over the mean difference of two normal values

RULE = (
    f"A final run failed where it broke off, or where a gap of more than {GAP:g} times the scatter ({GAP_OF_FEW:g} "
    f"times with {FEW} seeds or fewer) lies between it and the contender's better runs; the scatter is the larger of "
    "their own standard deviation and the usual one in the table. A contender with a failed run is unreliable: ranked "
    "behind the others, and never recommended while another is reliable."
)
"""The rule in a few words, printed by reports."""


def outliers(
    scores: Mapping[str, Mapping[int, float]], least: Mapping[str, float], *, higher_is_better: bool
) -> dict[str, tuple[int, ...]]:
    """The seeds whose final run lies below a gap, for each contender, in ascending order.

    Args:
        scores: contender → seed → score.
        least: contender → a gap that is too small to matter, in the metric's unit.
    """
    sign = 1.0 if higher_is_better else -1.0
    merits = {name: sorted((sign * v for v in own.values()), reverse=True) for name, own in scores.items()}
    usual = _usual([values for values in merits.values() if len(values) > 1])
    found = {}
    for name, values in merits.items():
        others = [own for other, own in merits.items() if len(own) > 1 and other != name]
        worst = _last_above(values, usual, least[name])
        worst = values[0] if worst is None and _is_alone(values, others, least[name]) else worst
        below = [] if worst is None else [seed for seed, v in scores[name].items() if sign * v < worst]
        found[name] = tuple(sorted(below))
    return found


def _usual(table: Sequence[Sequence[float]]) -> float | None:
    """The median of the contenders' scatters; `None` where nothing tells what is usual.

    Of an even number the lower middle one, which a contender with failed runs does not raise where there are two; but
    the mean of both with so few seeds that the lower one is small by chance.
    """
    scatters = [_scatter(values) for values in table]
    if not scatters or (len(scatters) == 1 and len(table[0]) == 2):
        return None
    few = min(map(len, table)) <= FEW
    return statistics.median(scatters) if few else statistics.median_low(scatters)


def _scatter(values: Sequence[float]) -> float:
    """A standard deviation that a single failed run does not raise."""
    if len(values) == 2:
        return OF_TWO * abs(values[0] - values[1])
    middle = statistics.median(values)
    return NORMAL * statistics.median(abs(value - middle) for value in values)


def _last_above(values: Sequence[float], usual: float | None, least: float) -> float | None:
    """The worst value above the first gap, of values in descending order; `None` where there is none."""
    if usual is None or len(values) < 2:
        return None
    times = GAP if len(values) > FEW else GAP_OF_FEW
    for count in range(1 if len(values) == 2 else 2, len(values)):
        above = values[:count]
        scatter = max(usual, moments.stdev(above) if count > 1 else 0.0)
        if above[-1] - values[count] > max(times * scatter, least):
            return above[-1]
    return None


def _is_alone(values: Sequence[float], others: Sequence[Sequence[float]], least: float) -> bool:
    """Whether the best run is the only good one: the rest lie far below it, and as far below what others reach.

    others: the values of the other contenders.
    """
    usual = _usual(others)
    if len(values) < ENOUGH or usual is None:
        return False
    gap = max(GAP * max(usual, moments.stdev(values[1:])), least)
    return min(values[0], statistics.median(map(statistics.median, others))) - values[1] > gap
