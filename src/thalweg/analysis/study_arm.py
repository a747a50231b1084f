"""One arm per contender of a study under comparison: its choice and final scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from thalweg.analysis.finals import Split, final_runs, granularity, ranking_split, scores
from thalweg.analysis.intervals import Interval, mean_interval
from thalweg.analysis.leaderboard import choices
from thalweg.analysis.selection import Choice, Point
from thalweg.errors import InputError
from thalweg.records.types import Factors, RunRecord, StudyRecord


@dataclass(frozen=True)
class Arm:
    """A contender in one of the two studies.

    factors: empty where neither its study's record nor a run states them. point: the choice; `None` where every
        configuration failed.
    seeds: of the final runs, ascending. scores: seed → score, for the final runs that have one.
    failed: whether it ran without a result: no final run has a score, or no configuration could be chosen.
    """

    factors: Factors
    point: Point | None
    seeds: tuple[int, ...]
    scores: Mapping[int, float]
    failed: bool

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """The chosen ones; empty without a choice."""
        return self.point.hyperparameters if self.point else {}

    @property
    def learning_rate(self) -> float | None:
        """The chosen one; `None` without a choice, or without a learning rate."""
        return self.point.learning_rate if self.point else None

    @cached_property
    def score(self) -> Interval:
        """Mean score over seeds with its interval, as on the leaderboard."""
        return mean_interval(list(self.scores.values()))

    @property
    def lost(self) -> int:
        """Number of final runs without a score."""
        return len(self.seeds) - len(self.scores)

    @property
    def whole(self) -> bool:
        """Whether there are final runs and all of them have a score."""
        return bool(self.seeds) and not self.lost


@dataclass(frozen=True)
class RankedStudy:
    """One of the two studies. rounding: variance of one score due to its granularity. sides: contender → arm."""

    record: StudyRecord
    split: Split
    rounding: float
    sides: Mapping[str, Arm]

    @property
    def ranked_by(self) -> str:
        """The ranking score in words, such as `test accuracy on fresh seeds`."""
        seeds = "fresh seeds" if self.record.confirmation_seeds else "the seeds of tuning"
        return f"{self.split} {self.record.metric} on {seeds}"


def ranked(study: StudyRecord, runs: Sequence[RunRecord]) -> RankedStudy:
    """Builds every contender's arm; scores are those that rank on the leaderboard."""
    chosen = choices(study, runs)
    own = {name: [run for run in runs if run.contender == name] for name in study.contenders}
    finals = {name: final_runs(study, of, chosen[name]) for name, of in own.items()}
    split = ranking_split(study, (run for of in finals.values() for run in of))
    factors = {name: study.factors_of(name, of) for name, of in own.items()}
    sides = {name: _side(own[name], factors[name], chosen[name], finals[name], split) for name in study.contenders}
    return RankedStudy(study, split, granularity(study, split) ** 2 / 12, sides)


def require_one_ranking(before: RankedStudy, after: RankedStudy) -> None:
    """Raises `InputError` where the studies rank by different splits, metrics or kinds of seeds."""
    if before.ranked_by != after.ranked_by:
        raise InputError(
            f"The studies rank by different scores ({before.ranked_by}; {after.ranked_by}): give two that were "
            "confirmed alike."
        )


def _side(
    own: Sequence[RunRecord], factors: Factors, choice: Choice | None, finals: Sequence[RunRecord], split: Split
) -> Arm:
    found = scores(finals, split)
    return Arm(
        factors=factors,
        point=choice.point if choice else None,
        seeds=tuple(run.seed for run in finals),
        scores=found,
        failed=bool(own) and not found and (bool(finals) or choice is None),
    )
