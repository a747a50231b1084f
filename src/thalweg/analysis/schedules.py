"""Optimizers by schedules: what each schedule gains for each optimizer, and whether rankings flip as rates decay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from thalweg.analysis.dimensions import SCHEDULES, Matrix, Place, finals_of, matrix, placed_rows
from thalweg.analysis.finals import common
from thalweg.analysis.intervals import Interval, paired_interval
from thalweg.analysis.row import Row
from thalweg.records.types import RunRecord, StudyRecord

HALF = 0.5  # share of a run at which rankings are compared with those at its end


@dataclass(frozen=True)
class Flip:
    """Two optimizers under one schedule of which the first leads at half the run and the second at its end, both beyond
    their intervals. lead, loss: the first's advantage then, and the second's at the end."""

    schedule: str
    first: str
    second: str
    lead: float
    loss: float


@dataclass(frozen=True)
class ScheduleMatrix:
    """matrix: what each schedule gains. flips: rankings that flip."""

    matrix: Matrix
    flips: tuple[Flip, ...]


def schedule_matrix(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> ScheduleMatrix | None:
    """The matrix of a study that varies the schedule; `None` for another."""
    found = matrix(study, rows, runs, SCHEDULES)
    if found is None:
        return None
    finals = {place: finals_of(study, row, runs) for place, row in placed_rows(rows, SCHEDULES).items()}
    sign = 1.0 if study.higher_is_better else -1.0
    return ScheduleMatrix(found, tuple(flip for s in found.levels for flip in _flips(study, s, finals, sign)))


def _flips(study: StudyRecord, schedule: str, finals: Mapping[Place, Sequence[RunRecord]], sign: float) -> list[Flip]:
    """The pairs of optimizers whose order at half of the run is significant, and the opposite at its end."""
    early, late = (
        {name: _at(of, share * study.steps, sign) for (name, s), of in finals.items() if s == schedule}
        for share in (HALF, 1.0)
    )
    found = []
    for a, b in combinations(early, 2):
        before, after = _lead(early[a], early[b]), _lead(late[a], late[b])
        if before is None or after is None or before.mean * after.mean >= 0:
            continue
        first, second = (a, b) if before.mean > 0 else (b, a)
        found.append(Flip(schedule, first, second, abs(before.mean), abs(after.mean)))
    return found


def _at(runs: Sequence[RunRecord], step: float, sign: float) -> dict[int, float]:
    """Seed → the validation metric of its last measurement up to a step, so that more is better."""
    found = {}
    for run in runs:
        values = [m.validation_metric for m in run.curve if m.step <= step]
        if values and values[-1] is not None and not run.broke:
            found[run.seed] = sign * values[-1]
    return found


def _lead(a: Mapping[int, float], b: Mapping[int, float]) -> Interval | None:
    """The advantage of a over b on common seeds; `None` unless its interval excludes 0."""
    ours, theirs = common(a, b)
    if len(ours) < 2:
        return None
    interval = paired_interval(ours, theirs)
    return interval if interval.low > 0 or interval.high < 0 else None
