"""One leaderboard row: all results of a contender."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thalweg.analysis.cost import Cost, Spent, Target
from thalweg.analysis.finals import Split
from thalweg.analysis.good_range import GoodRange
from thalweg.analysis.intervals import Interval
from thalweg.analysis.reliability import LateGain
from thalweg.analysis.selection import Choice, Point
from thalweg.analysis.stars import Stars
from thalweg.records.types import Factors


@dataclass(frozen=True)
class Row:
    """One contender on the leaderboard. Fields about the test split are `None` without confirmation or test split.

    The final runs are the confirmation runs; without confirmation the tuning runs of the choice.

    score: the ranking metric at the end of the final runs, on `split`: the test split, or the validation split in a
        study that evaluates no other. scores: seed → score of a final run. whole: whether there are final runs and all
        of them have a score. failed: seeds of the final runs that failed to train (`outliers.RULE`).
    group: 1 for the first and those not separated from it, then 2, … (`ties.RULE`); all contenders that are not
        reliable form the last group.
    close: whether it ends, tuned and finally, no further below the first than a good learning rate may.
    validation, test, train: at the end of training. best_validation: at each run's best measurement. best_test: at the
        best validation metric. defaults: the score of the published defaults on the same fresh seeds; untuned: whether
        these do as well as the first: reliable, not separated, and no further below than a good learning rate.
    tuning_gain: score minus that of the defaults, paired by seed; positive where tuning helped.
    behind: paired difference of the scores to the first, positive is worse; not corrected for multiple comparisons.
    improvement: probability that a run scores better than a run of the first, in [0, 1]; 0.5 where equal.
    iqm: interquartile mean of the scores. gap: see `reliability.gap`. curse: see `reliability.curse`.
    details: further metrics and parts of the loss at the end of the final runs, on `split`, by name.
    steps_to_target: median over the final runs that reached it, `reached` of `runs`.
    diverged: number of diverged runs among all `trained` runs of the contender, tuning included.
    good: the good range of learning rates; expected: validation metric to expect of a random one. rate_is_step: whether
        the learning rate is the size of the steps all along.
    failures: reason → number of failed runs, over all runs. seconds: training time per run, mean over all runs.
    """

    rank: int
    contender: str
    factors: Factors
    split: Split
    score: Interval
    scores: Mapping[int, float]
    whole: bool
    failed: tuple[int, ...]
    validation: Interval
    test: Interval | None
    best_validation: Interval | None
    best_test: Interval | None
    train: Interval
    defaults: Interval | None
    default_learning_rate: float | None
    untuned: bool
    tuning_gain: Interval | None
    steps_to_target: float | None
    reached: int
    runs: int
    diverged: int
    trained: int
    seconds: float
    group: int
    tied: bool
    close: bool
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
    good: GoodRange | None
    expected: float | None
    rate_is_step: bool
    stars: Stars
    choice: Choice | None
    tried: tuple[Point, ...]
    details: Mapping[str, Interval]

    @property
    def reliable(self) -> bool:
        """Whether every final run trained."""
        return self.whole and not self.failed

    @property
    def optimizer(self) -> str:
        """The optimizer's name in the catalogue; the contender's, where no record names it."""
        return str(self.factors.get("optimizer", self.contender))

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """The chosen ones; empty without a choice."""
        return self.choice.point.hyperparameters if self.choice else {}

    @property
    def learning_rate(self) -> float | None:
        """The chosen one; `None` without a choice, or without a learning rate."""
        return self.choice.point.learning_rate if self.choice else None

    @property
    def diverged_share(self) -> float:
        """Share of all the contender's runs that diverged, in [0, 1]."""
        return self.diverged / self.trained if self.trained else 0.0
