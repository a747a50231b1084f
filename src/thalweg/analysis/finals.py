"""The runs a contender is judged by, and what each of them scores."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from thalweg.analysis.selection import Choice
from thalweg.records.types import RunRecord, StudyRecord

Split = Literal["test", "validation"]


def final_runs(study: StudyRecord, runs: Sequence[RunRecord], choice: Choice | None) -> list[RunRecord]:
    """Of a contender's runs the confirmation; in a study without it the tuning runs of the choice. By seed."""
    if study.confirmation_seeds:
        found = [run for run in runs if run.role == "confirmation"]
    elif choice is None:
        found = []
    else:
        found = [r for r in runs if r.role == "tuning" and r.hyperparameters == choice.point.hyperparameters]
    return sorted(found, key=lambda run: run.seed)


def ranking_split(study: StudyRecord, finals: Iterable[RunRecord]) -> Split:
    """The split whose metric ranks: the test split where the final runs read it."""
    read = bool(study.confirmation_seeds) and "test" in study.samples
    return "test" if read or any(run.test_metric is not None for run in finals) else "validation"


def score(run: RunRecord, split: Split) -> float | None:
    """The metric at the end of training; `None` where the run did not reach it, or it is not finite."""
    value = run.test_metric if split == "test" else run.validation_metric
    return None if run.broke or value is None or not math.isfinite(value) else value


def scores(runs: Iterable[RunRecord], split: Split) -> dict[int, float]:
    """Seed → score, of the runs that have one."""
    return {run.seed: value for run in runs if (value := score(run, split)) is not None}


def resolution(study: StudyRecord, split: Split) -> float:
    """The step between two values of an accuracy; 0 of other metrics."""
    samples = study.samples.get(split, 0)
    return 1 / samples if study.metric == "accuracy" and samples else 0.0


def common(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[list[float], list[float]]:
    """The scores of the seeds that both have, in ascending seed."""
    seeds = sorted(a.keys() & b.keys())
    return [a[seed] for seed in seeds], [b[seed] for seed in seeds]
