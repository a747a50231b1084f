"""Optimizers by the levels of another factor of a study: what each level gains for each optimizer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from thalweg.analysis.finals import common, final_runs, ranking_split, scores
from thalweg.analysis.intervals import Interval, mean_interval, paired_interval
from thalweg.analysis.row import Row
from thalweg.records.types import RunRecord, StudyRecord

CONSTANT = "constant"
NONE = "none"


@dataclass(frozen=True)
class Dimension:
    """A factor that is crossed with optimizers.

    factor: its name in records. base: the level of who has none, over which others gain. or_first: whether they gain
    over the study's first level where there is no such.
    """

    factor: str
    base: str
    or_first: bool = False


SCHEDULES = Dimension("schedule", CONSTANT)
REGULARIZERS = Dimension("regularizer", NONE)
MODELS = Dimension("model", "its own arguments", or_first=True)

Place = tuple[str, str]
"""(optimizer, level)."""


@dataclass(frozen=True)
class Cell:
    """One optimizer at one level. gain: over the base, paired by seed, positive where better; `None` for that itself
    and without one."""

    row: Row
    gain: Interval | None


@dataclass(frozen=True)
class Matrix:
    """optimizers, levels: in the order of the study. cells: (optimizer, level) → its cell."""

    dimension: Dimension
    optimizers: tuple[str, ...]
    levels: tuple[str, ...]
    cells: Mapping[Place, Cell]

    def gained(self, level: str) -> Interval | None:
        """The mean gain of a level over optimizers, with its interval; `None` for fewer than two optimizers."""
        gains = [c.gain.mean for (_, s), c in self.cells.items() if s == level and c.gain is not None]
        return mean_interval(gains) if len(gains) > 1 else None


def matrix(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord], dimension: Dimension) -> Matrix | None:
    """The matrix of a study that varies the factor; `None` for another."""
    if dimension.factor not in study.varied:
        return None
    placed = placed_rows(rows, dimension)
    of = {row.contender: place for place, row in placed.items()}
    order = [of[name] for name in study.contenders if name in of]
    names, levels = (tuple(dict.fromkeys(place[i] for place in order)) for i in (0, 1))
    if dimension.or_first and dimension.base not in levels:
        dimension = replace(dimension, base=levels[0])
    finals = {place: finals_of(study, row, runs) for place, row in placed.items()}
    split = ranking_split(study, (r for own in finals.values() for r in own))
    sign = 1.0 if study.higher_is_better else -1.0
    found = {place: scores(own, split) for place, own in finals.items()}
    cells = {
        (name, level): Cell(
            row, None if level == dimension.base else _gain(found[name, level], found.get((name, dimension.base)), sign)
        )
        for (name, level), row in placed.items()
    }
    return Matrix(dimension, names, levels, cells)


def placed_rows(rows: Sequence[Row], dimension: Dimension) -> dict[Place, Row]:
    """(optimizer, level) → row: by the rule's name, or by the contender's own without the level in it."""
    levels = {row.contender: str(row.factors.get(dimension.factor, dimension.base)) for row in rows}
    labels = {row.contender: row.contender.replace(f" + {levels[row.contender]}", "", 1) for row in rows}
    crossed = any(label != contender for contender, label in labels.items())
    rules = {(row.optimizer, levels[row.contender]): row for row in rows}
    if not crossed and len(rules) == len(rows):
        return rules
    return {(labels[row.contender], levels[row.contender]): row for row in rows}


def finals_of(study: StudyRecord, row: Row, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The final runs of a row."""
    return final_runs(study, [run for run in runs if run.contender == row.contender], row.choice)


def _gain(own: Mapping[int, float], base: Mapping[int, float] | None, sign: float) -> Interval | None:
    ours, theirs = common(own, base or {})
    return paired_interval([sign * x for x in ours], [sign * x for x in theirs]) if ours else None
