"""Optimizers by schedules: what each schedule gains for each optimizer, and whether rankings flip as rates decay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from thalweg.analysis.finals import common, final_runs, ranking_split, scores
from thalweg.analysis.intervals import Interval, mean_interval, paired_interval
from thalweg.analysis.row import Row
from thalweg.records.types import RunRecord, StudyRecord

CONSTANT = "constant"
HALF = 0.5  # share of a run at which rankings are compared with those at its end


@dataclass(frozen=True)
class Cell:
    """One optimizer under one schedule. gain: over its constant rate, paired by seed, positive where better; `None`
    for that itself and without one."""

    row: Row
    gain: Interval | None


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
    """optimizers, schedules: in the order of the study. cells: (optimizer, schedule) → its cell."""

    optimizers: tuple[str, ...]
    schedules: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    flips: tuple[Flip, ...]

    def gained(self, schedule: str) -> Interval | None:
        """The mean gain of a schedule over optimizers, with its interval; `None` for fewer than two optimizers."""
        gains = [c.gain.mean for (_, s), c in self.cells.items() if s == schedule and c.gain is not None]
        return mean_interval(gains) if len(gains) > 1 else None


def schedule_matrix(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> ScheduleMatrix | None:
    """The matrix of a study that varies the schedule; `None` for another."""
    if "schedule" not in study.varied:
        return None
    own = _places(rows)
    placed = {own[row.contender]: row for row in rows}
    order = [own[name] for name in study.contenders if name in own]
    finals = {place: _finals(study, row, runs) for place, row in placed.items()}
    split, sign = ranking_split(study, (r for of in finals.values() for r in of)), 1.0 if study.higher_is_better else -1
    found = {place: scores(of, split) for place, of in finals.items()}
    cells = {
        place: Cell(row, _gain(found[place], found.get((place[0], CONSTANT)), sign) if place[1] != CONSTANT else None)
        for place, row in placed.items()
    }
    schedules = tuple(dict.fromkeys(schedule for _, schedule in order))
    flips = tuple(flip for s in schedules for flip in _flips(study, s, finals, sign))
    return ScheduleMatrix(tuple(dict.fromkeys(name for name, _ in order)), schedules, cells, flips)


def _places(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """Contender → (optimizer, schedule): the rule's name, or the contender's own where that is not enough."""
    schedules = {row.contender: str(row.factors.get("schedule", CONSTANT)) for row in rows}
    labels = {row.contender: row.contender.removesuffix(f" + {schedules[row.contender]}") for row in rows}
    crossed = any(label != contender for contender, label in labels.items())
    rules = {row.contender: (row.optimizer, schedules[row.contender]) for row in rows}
    if not crossed and len(set(rules.values())) == len(rows):
        return rules
    return {contender: (label, schedules[contender]) for contender, label in labels.items()}


def _finals(study: StudyRecord, row: Row, runs: Sequence[RunRecord]) -> list[RunRecord]:
    return final_runs(study, [run for run in runs if run.contender == row.contender], row.choice)


def _gain(own: Mapping[int, float], constant: Mapping[int, float] | None, sign: float) -> Interval | None:
    ours, theirs = common(own, constant or {})
    return paired_interval([sign * x for x in ours], [sign * x for x in theirs]) if ours else None


def _flips(
    study: StudyRecord, schedule: str, finals: Mapping[tuple[str, str], Sequence[RunRecord]], sign: float
) -> list[Flip]:
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
