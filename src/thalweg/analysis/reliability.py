"""Reliability checks of a contender: overfitting, winner's curse, unconverged training, failures."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thalweg.analysis import moments
from thalweg.analysis.finals import Split, score
from thalweg.analysis.intervals import Interval, mean_interval, standard_error
from thalweg.analysis.selection import Choice
from thalweg.records.types import RunRecord

LATE = 0.1  # last share of training, over which a converged run no longer improves
DIVERGED, WORSENED, NO_METRIC = "diverged", "finished with a higher loss than at the start", "no final metric"


@dataclass(frozen=True)
class LateGain:
    """Improvement of the validation metric over the last tenth of training; positive is better."""

    mean: float
    standard_error: float
    count: int  # final runs

    @property
    def still_improving(self) -> bool:
        """Whether the mean gain exceeds one standard error; False with a single run."""
        return self.count > 1 and self.mean > self.standard_error


def gap(finals: Sequence[RunRecord], split: Split, sign: float) -> Interval | None:
    """Generalization gap: training metric minus the ranking split's, signed so that positive is overfitting.

    sign: 1, or −1 for a metric where lower is better.
    """
    pairs = [(run.train_metric, score(run, split)) for run in finals]
    gaps = [sign * (train - held_out) for train, held_out in pairs if train is not None and held_out is not None]
    return mean_interval(gaps) if gaps else None


def curse(choice: Choice | None, finals: Sequence[RunRecord], sign: float) -> float | None:
    """The winner's curse: the choice's mean validation metric in tuning minus that on fresh seeds; positive means
    tuning was too optimistic. Fresh seeds are `finals` that are not tuning runs; `None` without them."""
    fresh = [v for run in finals if run.role != "tuning" and (v := run.validation_metric) is not None]
    if choice is None or not fresh:
        return None
    return sign * (choice.point.metric.mean - moments.mean(fresh))


def late_gain(finals: Sequence[RunRecord], sign: float) -> LateGain | None:
    """The late gain over the final runs measured at least twice; `None` where there are none."""
    gains = [sign * gain for run in finals if (gain := _late(run)) is not None]
    return LateGain(moments.mean(gains), standard_error(gains), len(gains)) if gains else None


def _late(run: RunRecord) -> float | None:
    """The last metric minus that a tenth of training earlier, interpolated linearly between measurements.

    `None` for a run whose final weights are not the last: it had stopped improving.
    """
    known = [(m.step, m.validation_metric) for m in run.curve if m.validation_metric is not None]
    if run.broke or len(known) < 2 or run.final is not run.curve[-1]:
        return None
    end, last = known[-1]
    begin = end * (1 - LATE)
    step, value = next(((s, v) for s, v in reversed(known) if s <= begin), known[0])
    after, following = next((s, v) for s, v in known if s > step)
    share = min(1.0, max(0.0, (begin - step) / (after - step)))
    return last - (value + share * (following - value))


def best_validation(run: RunRecord, sign: float) -> float | None:
    """The best validation metric over a finished run's measurements; `None` for a broken run."""
    known = [m.validation_metric for m in run.curve if m.validation_metric is not None]
    return None if run.broke or not known else sign * max(sign * value for value in known)


def failures(runs: Sequence[RunRecord]) -> Mapping[str, int]:
    """Failure reason → number of runs, most frequent first; successful runs are not counted."""
    return dict(Counter(filter(None, map(_reason, runs))).most_common())


def _reason(run: RunRecord) -> str:
    if run.failure:
        return run.failure
    if run.diverged_at is not None:
        return DIVERGED
    if run.worsened:
        return WORSENED
    return "" if run.validation_metric is not None and math.isfinite(run.validation_metric) else NO_METRIC
