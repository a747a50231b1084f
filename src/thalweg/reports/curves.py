"""Learning curves as data: validation metric and training loss per epoch of the runs that rank."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thalweg.analysis.leaderboard import Row
from thalweg.records.types import Epoch, RunRecord, StudyRecord
from thalweg.reports.finals import finals
from thalweg.reports.scales import Scale, loss_scale, metric_scale

HIGHLIGHTED = 5  # the leader and its ties stand out at first, but not more than so many


@dataclass(frozen=True)
class Curve:
    """Mean, lowest and highest over the seeds, per epoch from 1. It ends where the first seed has diverged.

    stopped: that epoch, `None` where no seed diverged; seeds: how many runs stand behind it.
    """

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    stopped: int | None
    seeds: int


@dataclass(frozen=True)
class Series:
    """One optimizer's two curves, and whether it stands out when the page opens."""

    contender: str
    rank: int
    highlighted: bool
    metric: Curve
    loss: Curve


@dataclass(frozen=True)
class Curves:
    """All optimizers that have final runs, best first, on shared axes."""

    series: tuple[Series, ...]
    metric: Scale
    loss: Scale
    epochs: int
    target: float | None


def curves(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Curves:
    """Everything that the learning curves show."""
    series = tuple(s for row in rows if (s := _series(study, row, finals(study, row, runs))) is not None)
    late = [(c, len(c.mean) // 8) for c in (s.metric for s in series)]  # the steep beginning may leave the frame
    shown = [v for c, start in late for bound in (c.mean, c.low, c.high) for v in bound[start:]] + [study.target]
    return Curves(
        series=series,
        metric=metric_scale(study, shown),
        loss=loss_scale(v for s in series for v in (*s.loss.low, *s.loss.high)),
        epochs=study.epochs,
        target=study.target,
    )


def _series(study: StudyRecord, row: Row, runs: Sequence[RunRecord]) -> Series | None:
    if not runs:
        return None
    standing = row.validation.count > 0 and row.tied and row.rank <= HIGHLIGHTED
    return Series(
        contender=row.contender,
        rank=row.rank,
        highlighted=standing,
        metric=curve(runs, study.epochs, lambda epoch: epoch.validation_metric),
        loss=curve(runs, study.epochs, lambda epoch: epoch.train_loss),
    )


def curve(runs: Sequence[RunRecord], length: int, of: Callable[[Epoch], float | None]) -> Curve:
    """One quantity of some runs over `length` epochs, epoch by epoch over their seeds."""
    values = [[of(epoch) for epoch in run.epochs] for run in runs]
    columns = [[run[i] if i < len(run) else None for run in values] for i in range(length)]
    whole: list[list[float]] = []
    for column in columns:
        known = [v for v in column if v is not None and math.isfinite(v)]
        if len(known) < len(column):
            break
        whole.append(known)
    return Curve(
        mean=tuple(map(statistics.fmean, whole)),
        low=tuple(map(min, whole)),
        high=tuple(map(max, whole)),
        stopped=len(whole) + 1 if len(whole) < length else None,
        seeds=len(runs),
    )
