"""One line of the leaderboard: everything that is known of a contender."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thalweg.analysis.cost import Cost, Spent, Target
from thalweg.analysis.finals import Split
from thalweg.analysis.intervals import Interval
from thalweg.analysis.reliability import LateGain
from thalweg.analysis.selection import Choice, Point
from thalweg.analysis.sensitivity import Sensitivity
from thalweg.analysis.stars import Stars


@dataclass(frozen=True)
class Row:
    """One contender on the leaderboard. Fields about the test split are `None` without confirmation or test split.

    The final runs are the confirmation runs; without confirmation the tuning runs of the choice.

    score: what ranks, the metric at their end on `split`: the test split, or the validation split in a study that
        reads no other. whole: whether there are final runs and all of them have a score.
    group: 1 for the first and what ties with it, then 2, … (`ties.RULE`); contenders with a final run that broke,
        or without final runs, are the last group together.
    validation, test, train: at the end of training. best_validation: at each run's best measurement. best_test: where
        the validation metric was best. defaults: the score of the published defaults on the same fresh seeds.
    tuning_gain: the score minus that of the defaults, paired by seed; positive where tuning helped.
    behind: paired difference of the scores to the first, positive is worse; not corrected for several comparisons.
    improvement: how often a run of this contender scores better than a run of the first, in [0, 1]; 0.5 of equals.
    iqm: interquartile mean of the scores. gap: overfitting, see `trust.gap`. curse: see `trust.curse`.
    steps_to_target: median over the runs that reached it; `reached` of `runs` did.
    diverged: of all the contender's runs, tuning included; `trained` is how many those are.
    failures: reason → how many of all runs did not go well. seconds: of training per run, the mean over all runs.
    """

    rank: int
    contender: str
    optimizer: str
    learning_rate: float | None
    hyperparameters: Mapping[str, Any]
    split: Split
    score: Interval
    whole: bool
    validation: Interval
    test: Interval | None
    best_validation: Interval | None
    best_test: Interval | None
    train: Interval
    defaults: Interval | None
    default_learning_rate: float | None
    tuning_gain: Interval | None
    steps_to_target: float | None
    reached: int
    runs: int
    diverged: int
    trained: int
    seconds: float
    group: int
    tied: bool
    behind: Interval | None
    improvement: float | None
    iqm: float | None
    gap: Interval | None
    curse: float | None
    late_gain: LateGain | None
    failures: Mapping[str, int]
    target: Target
    cost: Cost
    spent: Spent
    sensitivity: Sensitivity
    stars: Stars
    choice: Choice | None
    tried: tuple[Point, ...]

    @property
    def diverged_share(self) -> float:
        """Of all the contender's runs, in [0, 1]."""
        return self.diverged / self.trained if self.trained else 0.0
