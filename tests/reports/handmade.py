"""Small studies whose every number is written in the test."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from records_fixture import RUN, STUDY
from thalweg.analysis.leaderboard import Row, leaderboard
from thalweg.records.types import Measurement, Role, RunRecord, StudyRecord

STEPS = 10


def study(contenders: Sequence[str] = ("adam",), **changes: Any) -> StudyRecord:
    """Two epochs, tuning seeds 0 and 1, fresh seeds 1000 and 1001, accuracy."""
    record = replace(
        STUDY,
        steps=2 * STEPS,
        steps_per_epoch=STEPS,
        evaluate_every=STEPS,
        samples={"train": 80, "validation": 20, "test": 30},
        contenders=tuple(contenders),
        learning_rates=dict.fromkeys(contenders, (0.1,)),
        tuning_seeds=(0, 1),
        confirmation_seeds=(1000, 1001),
        caps={"runs": 4, "steps": 8 * STEPS, "seconds": None},
    )
    return replace(record, **changes)


def run(rate: float, seed: int, metric: float | None, /, role: Role = "tuning", **changes: Any) -> RunRecord:
    """A run that ends at `metric`, or whose second epoch has none because it diverged in it."""
    first = Measurement(STEPS, 1.0, 1.1, 0.5)
    last = Measurement(2 * STEPS, *((None,) * 3 if metric is None else (0.5, 0.6, metric)))
    test = metric if role != "tuning" else None
    record = replace(
        RUN,
        hyperparameters={"lr": rate},
        seed=seed,
        role=role,
        curve=(first, last),
        steps=2 * STEPS,
        train_metric=metric,
        test_metric=test,
        diverged_at=STEPS + 1 if metric is None else None,
        seconds=2.0,
    )
    return replace(record, **changes)


def rates(metrics: dict[float, tuple[float | None, ...]], **changes: Any) -> list[RunRecord]:
    """Tuning runs: rate → metric by seed from 0."""
    return [run(rate, seed, m, **changes) for rate, by_seed in metrics.items() for seed, m in enumerate(by_seed)]


def finals(
    metrics: Sequence[float | None], rate: float, /, role: Role = "confirmation", **changes: Any
) -> list[RunRecord]:
    """Runs on the fresh seeds."""
    return [run(rate, 1000 + i, m, role, **changes) for i, m in enumerate(metrics)]


def row(record: StudyRecord, runs: Sequence[RunRecord], contender: str = "adam") -> Row:
    return next(row for row in leaderboard(record, runs) if row.contender == contender)
