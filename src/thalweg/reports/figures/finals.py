"""A contender's final runs, as on the leaderboard, and its tuning runs of one configuration."""

from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.analysis.finals import final_runs
from thalweg.analysis.leaderboard import Row
from thalweg.records.types import RunRecord, StudyRecord


def finals(study: StudyRecord, row: Row, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """A contender's confirmation runs, or in a study without them the chosen configuration's tuning runs."""
    return final_runs(study, [run for run in runs if run.contender == row.contender], row.choice)


def tuned(row: Row, hyperparameters: Mapping[str, Any], runs: Sequence[RunRecord]) -> list[RunRecord]:
    """A contender's tuning runs of one configuration, one per seed."""
    return [
        run
        for run in runs
        if run.contender == row.contender and run.role == "tuning" and run.hyperparameters == hyperparameters
    ]
