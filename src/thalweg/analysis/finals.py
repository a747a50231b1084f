"""A contender's final runs, which rank it, and their scores."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from thalweg.analysis.formatting import is_percent
from thalweg.analysis.selection import Choice
from thalweg.records.types import RunRecord, StudyRecord

Split = Literal["test", "validation"]


def final_runs(study: StudyRecord, runs: Sequence[RunRecord], choice: Choice | None) -> list[RunRecord]:
    """A contender's confirmation runs, or in a study without them the chosen configuration's tuning runs; by seed."""
    if study.confirmation_seeds:
        found = [run for run in runs if run.role == "confirmation"]
    elif choice is None:
        found = []
    else:
        found = [r for r in runs if r.role == "tuning" and r.hyperparameters == choice.point.hyperparameters]
    return sorted(found, key=lambda run: run.seed)


def ranking_split(study: StudyRecord, finals: Iterable[RunRecord]) -> Split:
    """The split whose metric ranks: the test split if the final runs evaluate it, else the validation split."""
    read = bool(study.confirmation_seeds) and "test" in study.samples
    return "test" if read or any(run.test_metric is not None for run in finals) else "validation"


def score(run: RunRecord, split: Split) -> float | None:
    """The metric at the end of training; `None` where the run broke, or the metric is missing or not finite."""
    value = run.test_metric if split == "test" else run.validation_metric
    return None if run.broke or value is None or not math.isfinite(value) else value


def details(run: RunRecord, split: Split) -> Mapping[str, float | None]:
    """Further metrics, and parts of the loss, at the end of training; empty where the run broke."""
    final = run.final
    if run.broke or final is None:
        return {}
    return run.test_details if split == "test" else final.details


def scores(runs: Iterable[RunRecord], split: Split) -> dict[int, float]:
    """Seed → score, for the runs that have one."""
    return {run.seed: value for run in runs if (value := score(run, split)) is not None}


def granularity(study: StudyRecord, split: Split) -> float:
    """Smallest step between two accuracies, 1 / samples; 0 for other metrics or where the samples are unknown."""
    samples = study.samples.get(split, 0)
    return 1 / samples if is_percent(study) and samples else 0.0


def common(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[list[float], list[float]]:
    """Both sides' scores over their common seeds, in ascending seed."""
    seeds = sorted(a.keys() & b.keys())
    return [a[seed] for seed in seeds], [b[seed] for seed in seeds]
