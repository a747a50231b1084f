"""What a range test finds of one optimizer, and what short real runs around its suggestion say of it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from thalweg.analysis.intervals import paired_interval
from thalweg.analysis.range_calibration import RangeCalibration
from thalweg.analysis.range_curve import RangeCurve, features

FACTOR = 3.0
"""From the suggestion to the rates on both sides of it that short runs try."""

CLEAR = 0.03  # of a loss: what a neighbour gains at least to be better
ALONE = 0.1  # the same with one seed, which has no interval


@dataclass(frozen=True)
class RangeTrial:
    """Short real runs at one rate. losses: on the validation split at their end, by seed; infinite where diverged."""

    rate: float
    losses: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean loss over seeds."""
        return sum(self.losses) / len(self.losses)


@dataclass(frozen=True)
class RangeFinding:
    """What was found of one optimizer.

    interval: rates that hold a good one as often as the calibration says; suggestion: the best guess; both `None` where
    nothing can be said. lower_edge: the rate at which a tenth of the loss's fall is reached; steepest: that of the
    steepest descent in log-rate; divergence: that from which on the loss rises again by half of its fall, `None` where
    none of the sweep does. verified: whether short runs found no rate beside the first suggestion clearly better.
    trials: these runs. sentence: all of it in words.
    """

    optimizer: str
    interval: tuple[float, float] | None
    suggestion: float | None
    lower_edge: float | None = None
    steepest: float | None = None
    divergence: float | None = None
    verified: bool = False
    trials: tuple[RangeTrial, ...] = ()
    sentence: str = ""

    def facts(self) -> dict[str, Any]:
        """Plain data that `json` can write."""
        trials = [{"rate": t.rate, "losses": [x if math.isfinite(x) else None for x in t.losses]} for t in self.trials]
        return {**asdict(self), "interval": self.interval and list(self.interval), "trials": trials}


def nothing(optimizer: str, why: str) -> RangeFinding:
    """A finding without a number. why: a clause."""
    return RangeFinding(optimizer, None, None, sentence=f"{optimizer}: {why}.")


def read(optimizer: str, name: str, curve: RangeCurve, calibration: RangeCalibration) -> RangeFinding:
    """Reads a sweep. name: the optimizer's in the catalogue."""
    if curve.failure:
        return nothing(optimizer, f"it cannot be trained: {curve.failure}")
    found = features(curve)
    if found is None:
        low, high = curve.rates[0], curve.rates[-1]
        return nothing(optimizer, f"no rate from {low:.3g} to {high:.3g} made the loss fall")
    of = calibration.interval(found, name)
    low, suggestion, high = (_rounded(rate) for rate in (of.low, of.suggestion, of.high))
    sentence = f"{optimizer}: {suggestion:g}, in {low:g} to {high:g}; no run has verified it."
    return RangeFinding(
        optimizer, (low, high), suggestion, found.lower_edge, found.steepest, found.divergence, sentence=sentence
    )


def neighbourhood(suggestion: float) -> tuple[float, float, float]:
    """The rates that short runs try: below, at and above the suggestion."""
    return _rounded(suggestion / FACTOR), suggestion, _rounded(suggestion * FACTOR)


def verified(finding: RangeFinding, trials: Sequence[RangeTrial], steps: int) -> RangeFinding:
    """The finding after short runs of so many steps at its `neighbourhood`.

    Where a neighbour is clearly better, it is suggested instead, the interval is widened to hold it, and the sentence
    says that the test was contradicted.
    """
    assert finding.suggestion is not None
    assert finding.interval is not None
    middle = next(t for t in trials if t.rate == finding.suggestion)
    if not any(math.isfinite(t.mean) for t in trials):
        sentence = (
            f"{finding.optimizer}: short runs diverged at {finding.suggestion:g} and beside it; its test is wrong."
        )
        return replace(finding, trials=tuple(trials), sentence=sentence)
    better = [t for t in trials if t is not middle and is_clearly_better(t.losses, middle.losses)]
    if not better:
        low, high = finding.interval
        sentence = f"{finding.optimizer}: {finding.suggestion:g}, in {low:g} to {high:g}; short runs agree."
        return replace(finding, trials=tuple(trials), verified=True, sentence=sentence)
    best = min(better, key=lambda t: t.mean)
    low, high = min(finding.interval[0], best.rate), max(finding.interval[1], best.rate)
    what = f"{middle.mean:.3g}" if math.isfinite(middle.mean) else "diverging"
    sentence = (
        f"{finding.optimizer}: {best.rate:g}, in {low:g} to {high:g}; the test suggested {finding.suggestion:g}, and"
        f" runs of {steps:,} steps say that it was wrong: the loss is {best.mean:.3g} and not {what}."
    )
    return replace(finding, suggestion=best.rate, interval=(low, high), trials=tuple(trials), sentence=sentence)


def is_clearly_better(losses: Sequence[float], than: Sequence[float]) -> bool:
    """Whether losses paired by seed are lower by more than `CLEAR` of them, and by more than their noise."""
    if not all(map(math.isfinite, losses)):
        return False
    if not all(map(math.isfinite, than)):
        return True
    gain = paired_interval(than, losses)
    level = abs(sum(than)) / len(than)
    if gain.count < 2:
        return gain.mean > ALONE * level
    return gain.low > 0 and gain.mean > CLEAR * level


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")
