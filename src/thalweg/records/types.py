"""Immutable records of runs and studies, without torch."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

Role = Literal["tuning", "confirmation", "defaults"]
Round = Literal["coarse", "extension", "fine", "search", "confirmation"]
Ending = Literal["finished", "stopped early", "diverged", "failed"]
Factors = Mapping[str, Any]
"""What a comparison varies from contender to contender, beside hyperparameters: name → value.

`optimizer`: its name in the catalogue, or where it is imported from. `convention`: whose formula and defaults it
follows, absent where those are torch's. Values are JSON data.
"""
NOISE = 2.0  # a loss counts as worse if it rose by more than this many standard deviations between batches


@dataclass(frozen=True)
class Measurement:
    """Measured values after `step` steps; a value that is not finite is `None`.

    train_loss: sample-weighted mean of the losses since the previous measurement, each taken before its update.
    details: further metrics of the validation split, and the parts of its loss where a step has several, by name.
    """

    step: int
    train_loss: float | None
    validation_loss: float | None
    validation_metric: float | None
    details: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One configuration trained with one seed."""

    contender: str  # the name on the leaderboard
    factors: Factors
    hyperparameters: Mapping[str, Any]  # the learning rate, and all values other than the published defaults
    seed: int
    role: Role
    curve: tuple[Measurement, ...]  # in ascending step; ends where the run ended
    steps: int  # planned; fewer were taken if the run did not finish
    round: Round = "coarse"  # the stage of the protocol that planned it
    initial_loss: float | None = None  # loss of the first batch, before any update
    initial_validation_loss: float | None = None  # over the validation split, before any update
    loss_spread: float | None = None  # standard deviation of batches' losses there; `None` before protocol 3
    train_metric: float | None = None  # over the training split, of the final weights
    test_metric: float | None = None  # of the final weights; confirmation and defaults runs only
    best_test_metric: float | None = None  # where the validation metric was best
    diverged_at: int | None = None  # the step (from 1) whose loss or parameters were not finite
    seconds: float = 0.0  # this run's share of the wall-clock time of the population it trained in
    memory: int = 0  # bytes of its parameters, gradients and optimizer state
    execution: str = ""  # how it was trained: "population of 32", "loop: <why>"; see `shared`
    rate: str | None = None  # the name of the hyperparameter that is the learning rate; `None` where there is none
    failure: str = ""  # why it could not be trained to its end, other than divergence
    stopped_at: int | None = None  # the step after which early stopping ended it
    evaluations: int | None = None  # of a batch, forward and backward; `None` before protocol 4: one a step
    test_details: Mapping[str, float | None] = field(default_factory=dict)  # of the test split: see `Measurement`
    restored_from: int | None = None  # the step whose weights are the final ones; `None` for those at the end

    @property
    def optimizer(self) -> str:
        """The optimizer's name in the catalogue, or where it is imported from."""
        return str(self.factors["optimizer"])

    @property
    def learning_rate(self) -> float | None:
        """The value of the hyperparameter that is the learning rate; `None` where there is none."""
        return rate_among(self.hyperparameters, self.rate)

    @property
    def ending(self) -> Ending:
        """How the run ended."""
        if self.failure:
            return "failed"
        if self.diverged_at is not None:
            return "diverged"
        return "finished" if self.stopped_at is None else "stopped early"

    @property
    def ended_at(self) -> int:
        """Number of steps trained."""
        if self.failure and self.diverged_at is None:
            return self.curve[-1].step if self.curve else 0
        return next(step for step in (self.diverged_at, self.stopped_at, self.steps) if step is not None)

    @property
    def final(self) -> Measurement | None:
        """The measurement of the final weights: the last, or that of the weights restored; `None` without any."""
        at = next((m for m in self.curve if m.step == self.restored_from), None)
        return at or (self.curve[-1] if self.curve else None)

    @property
    def validation_metric(self) -> float | None:
        """The validation metric of the final weights; `None` if the run broke off."""
        final = self.final
        return final.validation_metric if final is not None and not self.broke else None

    @property
    def broke(self) -> bool:
        """Whether the run did not reach its end."""
        return self.diverged_at is not None or bool(self.failure)

    @property
    def shared(self) -> bool:
        """Whether it trained with other runs in one program, so that its seconds are a share of theirs, not its own."""
        return re.match("population of (?!1\\b)", self.execution) is not None

    @property
    def worsened(self) -> bool:
        """Whether the run ended worse than it began, on the same data, by more than the noise of batches.

        The validation loss rose above the one before the first update, and the last measured training loss above the
        first batch's, each by more than `NOISE` standard deviations between batches. Either one is too little
        evidence: the first batch may be easy, and an overfitting model's validation loss rises while it learns.

        A run of protocol 2 or before, which did not measure its start, worsened if its last measured training loss
        is above the first batch's.
        """
        final = self.final
        if final is None:
            return False
        training, validation = final.train_loss, final.validation_loss
        if self.loss_spread is None:
            return _rose(self.initial_loss, training, 0.0)
        noise = NOISE * self.loss_spread
        return _rose(self.initial_validation_loss, validation, noise) and _rose(self.initial_loss, training, noise)

    @property
    def diverged(self) -> bool:
        """Whether the loss or the parameters stopped being finite, or the run ended worse than it began."""
        return self.diverged_at is not None or self.worsened


def rate_among(hyperparameters: Mapping[str, Any], rate: str | None) -> float | None:
    """The learning rate among hyperparameters, where `rate` is its name; `None` where it has none, or is no number."""
    value = None if rate is None else hyperparameters.get(rate)
    return float(value) if isinstance(value, int | float) else None


def _rose(before: float | None, after: float | None, noise: float) -> bool:
    """Whether a loss rose by more than `noise`; `False` if either value is unknown."""
    return before is not None and after is not None and after > before + noise


@dataclass(frozen=True)
class StudyRecord:
    """One comparison: its settings, its environment, and its notes."""

    workload: str
    metric: str
    higher_is_better: bool
    target: float | None
    steps: int  # of every run
    steps_per_epoch: int
    evaluate_every: int  # steps between measurements
    batch_size: int
    samples: Mapping[str, int]  # split → number of samples
    parameters: int  # of the model
    contenders: tuple[str, ...]
    learning_rates: Mapping[str, tuple[float, ...]]  # contender → the coarse grid, or the user's rates
    refined: int | None  # rates per decade of the fine grid around the best; `None` if there is none
    tuning_seeds: tuple[int, ...]
    confirmation_seeds: tuple[int, ...]
    protocol: int
    caps: Mapping[
        str, float | None
    ]  # tuning limits per contender: "runs", "evaluations" ("steps" before protocol 4), "seconds"
    environment: Mapping[str, Any]  # versions, machine, threads
    plan: Mapping[str, Any] = field(default_factory=dict)  # how the runs were executed
    notes: tuple[str, ...] = ()  # what the study gave up, cut short or extended, a sentence each
    request: Mapping[str, Any] = field(default_factory=dict)  # the arguments of `compare`, for `resume`
    drop_last: bool = False  # whether an epoch's short last batch was dropped
    accumulate: int = 1  # batches of `batch_size` whose mean gradient makes a step
    precision: str = "float32"  # what the model computed in: "bf16" under autocast
    content: Mapping[str, str] = field(default_factory=dict)  # "data", "model", "loss", users' own contenders → a hash
    factors: Mapping[str, Factors] = field(default_factory=dict)  # contender → its own; see `varied`
    calls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Contender → how its optimizer is made in Python: see `studies.calls`. Empty before protocol 6."""
    findings: Mapping[str, Any] = field(default_factory=dict)
    """Results of a study that is no comparison, as JSON data; its kind stands in `request["kind"]`."""
    started: str | None = field(default=None, compare=False)  # in UTC, ISO 8601; `None` if it is not in a store
    seconds: float | None = field(default=None, compare=False)  # of work on the study so far, over all its sessions

    @property
    def varied(self) -> tuple[str, ...]:
        """The names of the factors whose values differ among the contenders.

        A study of schema 6 or before has the factors only of contenders that had run when it was migrated.
        """
        known = list(self.factors.values())
        names = dict.fromkeys(name for own in known for name in own)
        return tuple(n for n in names if any(own.get(n) != known[0].get(n) for own in known))

    def factors_of(self, contender: str, runs: Sequence[RunRecord]) -> Factors:
        """A contender's factors, else those of its `runs`; empty where neither states them."""
        return self.factors.get(contender) or (runs[0].factors if runs else {})


@dataclass(frozen=True)
class Leader:
    """The best configuration of a contender so far, by the mean of its validation metric.

    values: one per seed, at least one. kind: whether they are of runs of tuning or confirmation that ended, or, before
    any has, the last measured ones of runs in training.
    """

    contender: str
    learning_rate: float | None
    values: tuple[float, ...]
    kind: Literal["training", "tuning", "confirmation"]

    @property
    def mean(self) -> float:
        """The mean of the values."""
        return fmean(self.values)


@dataclass(frozen=True)
class Progress:
    """The progress of a study, as last stored; of a store by an earlier version, of the stage alone."""

    stage: str = ""
    runs: int = 0  # of the stage
    done: float = 0.0  # share of the stage, in [0, 1]
    seconds: float = 0.0  # of work on the study, over all its sessions
    first: int = 0  # the position of the stage's first run: so many runs had ended before
    study_done: float = 0.0  # runs of the whole study, with fractions of those in training
    study_runs: float = 0.0  # about how many it will have; 0 if unknown
    left: float | None = None  # seconds of work left, about
    leaders: tuple[Leader, ...] = ()  # best first; only while no run has ended, since they follow from runs then


@dataclass(frozen=True)
class Summary:
    """A summary of a study. `runs`: the number of finished runs; times are in UTC, ISO 8601."""

    id: int
    started: str
    finished: str | None
    record: StudyRecord
    progress: Progress
    runs: int
