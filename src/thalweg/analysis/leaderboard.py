"""The ranking: one row a contender, by the mean confirmed test metric, with ties said."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.analysis.intervals import Interval, mean_interval
from thalweg.analysis.selection import Choice, Point, choose, points
from thalweg.records.types import RunRecord, StudyRecord


@dataclass(frozen=True)
class Row:
    """One contender on the leaderboard. Fields about the test split are `None` without confirmation or test split.

    validation, test, train: at the end of training, over the confirmation seeds (tuning seeds without confirmation).
    best_test: at each run's best validation epoch. defaults: the published defaults on the same fresh seeds.
    steps_to_target: median over the runs that reached it; `reached` of `runs` did.
    diverged: of all the contender's runs, tuning included; `trained` is how many those are.
    seconds: of training per run, the mean over all runs.
    tied: whether the paired difference to the first cannot be told from 0.
    """

    rank: int
    contender: str
    optimizer: str
    learning_rate: float | None
    hyperparameters: Mapping[str, Any]
    validation: Interval
    test: Interval | None
    best_test: Interval | None
    train: Interval
    defaults: Interval | None
    default_learning_rate: float | None
    steps_to_target: float | None
    reached: int
    runs: int
    diverged: int
    trained: int
    seconds: float
    tied: bool
    behind: Interval | None  # paired difference to the first, in the metric's units; positive is worse
    choice: Choice | None
    tried: tuple[Point, ...]


def choices(study: StudyRecord, runs: Sequence[RunRecord]) -> dict[str, Choice | None]:
    """What tuning chose for each contender; `None` where every configuration failed."""
    return {name: choose(points(_of(runs, name)), higher_is_better=study.higher_is_better) for name in study.contenders}


def leaderboard(study: StudyRecord, runs: Sequence[RunRecord]) -> list[Row]:
    """All contenders, best first. A contender with a final run that diverged ranks behind those without."""
    chosen = choices(study, runs)
    finals = {name: _finals(study, _of(runs, name), chosen[name]) for name in study.contenders}
    sign = 1.0 if study.higher_is_better else -1.0

    def merit(name: str) -> tuple[bool, float]:
        values = [_score(run) for run in finals[name]]
        known = [v for v in values if v is not None]
        whole = bool(values) and len(known) == len(values)
        return whole, sign * statistics.fmean(known) if known else -math.inf

    order = sorted(study.contenders, key=merit, reverse=True)
    rows = [_row(study, _of(runs, name), finals[name], chosen[name]) for name in order]
    return [_placed(row, i, _behind(sign, finals[order[0]], finals[row.contender])) for i, row in enumerate(rows, 1)]


def _of(runs: Sequence[RunRecord], contender: str) -> list[RunRecord]:
    return [run for run in runs if run.contender == contender]


def _finals(study: StudyRecord, runs: Sequence[RunRecord], choice: Choice | None) -> list[RunRecord]:
    """The runs a contender is judged by: confirmation, or without it the tuning runs of the choice."""
    if study.confirmation_seeds:
        return [run for run in runs if run.role == "confirmation"]
    if choice is None:
        return []
    return [r for r in runs if r.role == "tuning" and r.hyperparameters == choice.point.hyperparameters]


def _score(run: RunRecord) -> float | None:
    if run.diverged_at is not None:
        return None
    return run.test_metric if run.test_metric is not None else run.validation_metric


def _row(study: StudyRecord, runs: Sequence[RunRecord], finals: Sequence[RunRecord], choice: Choice | None) -> Row:
    defaults = [run for run in runs if run.role == "defaults"]
    steps = [s for s in (steps_to_target(run, study) for run in finals) if s is not None]
    return Row(
        rank=0,
        contender=runs[0].contender,
        optimizer=runs[0].optimizer,
        learning_rate=choice.point.learning_rate if choice else None,
        hyperparameters=choice.point.hyperparameters if choice else {},
        validation=_interval([run.validation_metric for run in finals]),
        test=_optional([run.test_metric for run in finals]),
        best_test=_optional([run.best_test_metric for run in finals]),
        train=_interval([run.train_metric for run in finals]),
        defaults=_optional([_score(run) for run in defaults]),
        default_learning_rate=defaults[0].learning_rate if defaults else None,
        steps_to_target=statistics.median(steps) if steps else None,
        reached=len(steps),
        runs=len(finals),
        diverged=sum(run.diverged for run in runs),
        trained=len(runs),
        seconds=statistics.fmean(run.seconds for run in runs),
        tied=False,
        behind=None,
        choice=choice,
        tried=tuple(points(runs)),
    )


def steps_to_target(run: RunRecord, study: StudyRecord) -> int | None:
    """Steps until the first measurement whose validation metric reaches the study's target; `None` where none does."""
    if study.target is None:
        return None
    for measured in run.curve:
        value = measured.validation_metric
        if value is not None and (value >= study.target if study.higher_is_better else value <= study.target):
            return measured.step
    return None


def _behind(sign: float, first: Sequence[RunRecord], other: Sequence[RunRecord]) -> Interval | None:
    """Paired by seed: how much the first is better."""
    of_seed = {run.seed: _score(run) for run in other}
    pairs = [(_score(run), of_seed.get(run.seed)) for run in first]
    if not pairs or any(a is None or b is None for a, b in pairs):
        return None
    return mean_interval([sign * (a - b) for a, b in pairs if a is not None and b is not None])


def _placed(row: Row, rank: int, behind: Interval | None) -> Row:
    from dataclasses import replace

    tied = rank == 1 or (behind is not None and (behind.count < 2 or behind.low <= 0.0))
    return replace(row, rank=rank, behind=behind, tied=tied)


def _interval(values: Sequence[float | None]) -> Interval:
    return mean_interval([v for v in values if v is not None])


def _optional(values: Sequence[float | None]) -> Interval | None:
    interval = _interval(values)
    return interval if interval.count else None
