"""Records written by hand, without training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from records_fixture import RUN, STEPS, STUDY
from thalweg.records.types import Measurement, RunRecord, StudyRecord


def curve(*metrics: float | None, every: int = 10) -> tuple[Measurement, ...]:
    """A measurement every `every` steps."""
    return tuple(Measurement(every * i, 0.5, 0.5, metric) for i, metric in enumerate(metrics, 1))


def run(
    lr: float, seed: int, metric: float | None, contender: str = "adam", role: Any = "tuning", **more: Any
) -> RunRecord:
    """A run whose validation metric ends at `metric`, or that diverged at step 3 where it is None."""
    record = replace(
        RUN,
        contender=contender,
        hyperparameters={"lr": lr},
        seed=seed,
        role=role,
        curve=() if metric is None else (Measurement(STEPS, 0.5, 0.5, metric),),
        diverged_at=3 if metric is None else None,
    )
    return replace(record, **more)


def tuning(by_rate: Mapping[float, Sequence[float | None]], contender: str = "adam", **more: Any) -> list[RunRecord]:
    """Rate → validation metrics of seeds 0, 1, …"""
    return [run(lr, s, m, contender, **more) for lr, metrics in by_rate.items() for s, m in enumerate(metrics)]


def confirmed(contender: str, metrics: Sequence[float | None], lr: float = 0.1, **more: Any) -> list[RunRecord]:
    """Confirmation runs of seeds 1000, 1001, … whose test metric equals the validation metric."""
    return [run(lr, 1000 + i, m, contender, role="confirmation", test_metric=m, **more) for i, m in enumerate(metrics)]


def finals(contender: str, metrics: Sequence[float | None], **more: Any) -> list[RunRecord]:
    """Confirmation runs, and three tuning runs at the same rate that ended at 0.5."""
    return tuning({0.1: [0.5] * 3}, contender, **more) + confirmed(contender, metrics, **more)


def study(*contenders: str, confirmation: int = 0, **more: Any) -> StudyRecord:
    fresh = tuple(range(1000, 1000 + confirmation))
    record = replace(STUDY, contenders=contenders, learning_rates={}, target=0.9, confirmation_seeds=fresh)
    return replace(record, **more)
