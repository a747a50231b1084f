"""Learning curves as data: validation metric and training loss of the final runs per measurement."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thalweg.analysis import moments
from thalweg.analysis.leaderboard import Row
from thalweg.analysis.recommendation import pick
from thalweg.records.types import Measurement, RunRecord, StudyRecord
from thalweg.reports.figures.finals import finals
from thalweg.reports.figures.scales import Scale, loss_scale, metric_scale

HIGHLIGHTED = 5  # maximum optimizers highlighted when the page opens: the recommended, the first and its ties


@dataclass(frozen=True)
class Curve:
    """Mean, lowest and highest over seeds, per measurement, up to the first at which a seed has diverged.

    A seed that stopped early counts from then on with its final weights. stopped: the position on the axis of the
    measurement where a seed has diverged, `None` where none did. seeds: number of runs.
    """

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    stopped: float | None
    seeds: int


@dataclass(frozen=True)
class Series:
    """One optimizer's two curves, and whether it is highlighted when the page opens."""

    contender: str
    rank: int
    highlighted: bool
    metric: Curve
    loss: Curve


@dataclass(frozen=True)
class Curves:
    """Curves of all optimizers with final runs, best first, on shared axes.

    places: x values of the measurements in `unit`, "epoch" or "step".
    """

    series: tuple[Series, ...]
    metric: Scale
    loss: Scale
    places: tuple[float, ...]
    unit: str
    target: float | None


def curves(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Curves:
    """Builds the data of the learning curves."""
    unit, places = _places(study)
    standing = _standing(rows)
    series = tuple(s for row in rows if (s := _series(places, row, finals(study, row, runs), standing)) is not None)
    late = [(c, len(c.mean) // 8) for c in (s.metric for s in series)]  # the axis may cut off the steep beginning
    shown = [v for c, start in late for bound in (c.mean, c.low, c.high) for v in bound[start:]] + [study.target]
    return Curves(
        series=series,
        metric=metric_scale(study, shown),
        loss=loss_scale(v for s in series for v in (*s.loss.low, *s.loss.high)),
        places=places,
        unit=unit,
        target=study.target,
    )


def _places(study: StudyRecord) -> tuple[str, tuple[float, ...]]:
    """Unit and x values of the measurements: epochs where runs train at least one, else steps."""
    steps = (*range(study.evaluate_every, study.steps, study.evaluate_every), study.steps)
    if study.steps < study.steps_per_epoch:
        return "step", tuple(map(float, steps))
    return "epoch", tuple(step / study.steps_per_epoch for step in steps)


def _standing(rows: Sequence[Row]) -> set[str]:
    """Contenders highlighted when the page opens."""
    tied = [row for row in rows if row.tied]
    chosen = pick(rows)
    first = [row.contender for row in ([chosen] if chosen else []) + tied if row.validation.count]
    return set(list(dict.fromkeys(first))[:HIGHLIGHTED])


def _series(places: Sequence[float], row: Row, runs: Sequence[RunRecord], standing: set[str]) -> Series | None:
    if not runs:
        return None
    return Series(
        contender=row.contender,
        rank=row.rank,
        highlighted=row.contender in standing,
        metric=curve(runs, places, lambda m: m.validation_metric),
        loss=curve(runs, places, lambda m: m.train_loss),
    )


def curve(runs: Sequence[RunRecord], places: Sequence[float], of: Callable[[Measurement], float | None]) -> Curve:
    """The curve over seeds of one quantity, `of(measurement)`, which ends at its first missing or non-finite value."""
    values = [[of(m) for m in run.curve] + _after_the_end(run, of, len(places)) for run in runs]
    columns = [[run[i] if i < len(run) else None for run in values] for i in range(len(places))]
    whole: list[list[float]] = []
    for column in columns:
        known = [v for v in column if v is not None and math.isfinite(v)]
        if len(known) < len(column):
            break
        whole.append(known)
    return Curve(
        mean=tuple(map(moments.mean, whole)),
        low=tuple(map(min, whole)),
        high=tuple(map(max, whole)),
        stopped=places[len(whole)] if len(whole) < len(places) else None,
        seeds=len(runs),
    )


def _after_the_end(run: RunRecord, of: Callable[[Measurement], float | None], count: int) -> list[float | None]:
    """The values of the final weights at the measurements, of `count`, that a run that stopped early left out."""
    if run.stopped_at is None or run.final is None:
        return []
    return [of(run.final)] * (count - len(run.curve))
