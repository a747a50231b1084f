"""What a study could tell apart, by its rows."""

from collections.abc import Sequence

from thalweg.analysis.finals import granularity
from thalweg.analysis.row import Row
from thalweg.analysis.separable import Separable, separable
from thalweg.records.types import StudyRecord


def resolution(study: StudyRecord, rows: Sequence[Row]) -> Separable | None:
    """The difference that the reliable contenders' final runs, on common seeds, can tell apart; `None` where fewer than
    two contenders or seeds are left."""
    able = [row for row in rows if row.reliable]
    seeds = sorted(set.intersection(*(set(row.scores) for row in able))) if able else []
    table = [[row.scores[seed] for seed in seeds] for row in able]
    return separable(table, granularity(study, rows[0].split)) if able else None
