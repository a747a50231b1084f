"""How far a contender's numbers can be trusted: overfitting, lucky tuning, unfinished training, failures."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thalweg.analysis import moments
from thalweg.analysis.finals import Split, score
from thalweg.analysis.intervals import Interval, mean_interval, standard_error
from thalweg.analysis.selection import Choice
from thalweg.records.types import RunRecord

LATE = 0.1  # the share of training at whose end a converged run no longer improves
DIVERGED, WORSENED, NO_METRIC = "diverged", "ended worse than it began", "no final metric"


@dataclass(frozen=True)
class LateGain:
    """How much the validation metric still improves over the last tenth of training, positive is better."""

    mean: float
    standard_error: float
    count: int  # final runs

    @property
    def still_improving(self) -> bool:
        """By more than one standard error; with one run nothing is said."""
        return self.count > 1 and self.mean > self.standard_error


def gap(finals: Sequence[RunRecord], split: Split, sign: float) -> Interval | None:
    """Training metric minus the ranking split's, signed so that positive is overfitting. sign: 1 or, for a metric
    whose lower values are better, −1."""
    pairs = [(run.train_metric, score(run, split)) for run in finals]
    gaps = [sign * (train - held_out) for train, held_out in pairs if train is not None and held_out is not None]
    return mean_interval(gaps) if gaps else None


def curse(choice: Choice | None, finals: Sequence[RunRecord], sign: float) -> float | None:
    """The winner's curse: how much better the validation metric looked in tuning than on fresh seeds, which
    are `finals` that are not tuning runs; `None` without them. Positive is too good."""
    fresh = [v for run in finals if run.role != "tuning" and (v := run.validation_metric) is not None]
    if choice is None or not fresh:
        return None
    return sign * (choice.point.metric.mean - moments.mean(fresh))


def late_gain(finals: Sequence[RunRecord], sign: float) -> LateGain | None:
    """Over the final runs that were measured at least twice; `None` where there are none."""
    gains = [sign * gain for run in finals if (gain := _late(run)) is not None]
    return LateGain(moments.mean(gains), standard_error(gains), len(gains)) if gains else None


def _late(run: RunRecord) -> float | None:
    """The metric at the end minus that a tenth of the training earlier, between measurements interpolated."""
    known = [(m.step, m.validation_metric) for m in run.curve if m.validation_metric is not None]
    if run.broke or len(known) < 2:
        return None
    end, last = known[-1]
    begin = end * (1 - LATE)
    step, value = next(((s, v) for s, v in reversed(known) if s <= begin), known[0])
    after, following = next((s, v) for s, v in known if s > step)
    share = min(1.0, max(0.0, (begin - step) / (after - step)))
    return last - (value + share * (following - value))


def best_validation(run: RunRecord, sign: float) -> float | None:
    """The best validation metric that a finished run measured."""
    known = [m.validation_metric for m in run.curve if m.validation_metric is not None]
    return None if run.broke or not known else sign * max(sign * value for value in known)


def failures(runs: Sequence[RunRecord]) -> Mapping[str, int]:
    """Reason → how many of the runs it befell, the most frequent first; runs that went well are left out."""
    return dict(Counter(filter(None, map(_reason, runs))).most_common())


def _reason(run: RunRecord) -> str:
    if run.failure:
        return run.failure
    if run.diverged_at is not None:
        return DIVERGED
    if run.worsened:
        return WORSENED
    return "" if run.validation_metric is not None and math.isfinite(run.validation_metric) else NO_METRIC
