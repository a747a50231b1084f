"""What a run and a study leave behind: immutable facts, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["tuning", "confirmation", "defaults"]
Round = Literal["coarse", "extension", "fine", "search", "confirmation"]


@dataclass(frozen=True)
class Measurement:
    """What was measured after `step` steps.

    train_loss: sample-weighted mean of the losses since the measurement before, each taken before its update.
    A value that is not finite is `None`.
    """

    step: int
    train_loss: float | None
    validation_loss: float | None
    validation_metric: float | None


@dataclass(frozen=True)
class RunRecord:
    """One configuration trained with one seed."""

    contender: str  # the name on the leaderboard
    optimizer: str  # the optimizer's name in the catalogue, or where it is imported from
    hyperparameters: Mapping[str, Any]  # everything that is not the published default, and the learning rate
    learning_rate: float | None
    seed: int
    role: Role
    curve: tuple[Measurement, ...]  # in ascending step; ends where the run diverged
    steps: int  # that the run was to train
    round: Round = "coarse"  # which part of the protocol asked for it
    initial_loss: float | None = None  # loss of the first batch, before any update
    train_metric: float | None = None  # over the training split, at the end
    test_metric: float | None = None  # at the end; confirmation and defaults runs only
    best_test_metric: float | None = None  # where the validation metric was best
    diverged_at: int | None = None  # the step (from 1) whose loss or parameters were not finite
    seconds: float = 0.0  # this run's share of the wall-clock time of the population it trained in
    memory: int = 0  # bytes of its parameters, gradients and optimizer state
    execution: str = ""  # how it was trained: "population of 32", "loop: <why>"
    failure: str = ""  # why it could not be trained to its end, where it is not that it diverged

    @property
    def validation_metric(self) -> float | None:
        """The validation metric at the end of training; `None` if diverged."""
        return self.curve[-1].validation_metric if self.curve and not self.broke else None

    @property
    def broke(self) -> bool:
        """Whether the run did not reach its end."""
        return self.diverged_at is not None or bool(self.failure)

    @property
    def worsened(self) -> bool:
        """Whether the last measured training loss is above the loss before the first update."""
        last = self.curve[-1].train_loss if self.curve else None
        return last is not None and self.initial_loss is not None and last > self.initial_loss

    @property
    def diverged(self) -> bool:
        """Whether the loss stopped being finite, or ended above where it began."""
        return self.diverged_at is not None or self.worsened


@dataclass(frozen=True)
class StudyRecord:
    """One whole comparison: what was asked, where it ran, what came of it."""

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
    learning_rates: Mapping[str, tuple[float, ...]]  # contender → the coarse grid, or the rates that were given
    refined: int | None  # rates per decade that follow around the best; `None` where none do
    tuning_seeds: tuple[int, ...]
    confirmation_seeds: tuple[int, ...]
    protocol: int
    caps: Mapping[str, float | None]  # what tuning one contender may take: "runs", "steps", "seconds"
    environment: Mapping[str, Any]  # versions, machine, threads
    plan: Mapping[str, Any] = field(default_factory=dict)  # how the runs were executed
    notes: tuple[str, ...] = ()  # what the study gave up, cut short or extended, a sentence each
    request: Mapping[str, Any] = field(default_factory=dict)  # what was asked, to go on from where it stopped
    drop_last: bool = False  # whether an epoch's short last batch was left out
    content: Mapping[str, str] = field(default_factory=dict)  # "data", "model", "loss" → a hash of each


@dataclass(frozen=True)
class Progress:
    """How far a study is."""

    stage: str = ""
    runs: int = 0  # of the stage
    done: float = 0.0  # share of the stage, in [0, 1]
    seconds: float = 0.0  # of work on the study, over all its sessions


@dataclass(frozen=True)
class Summary:
    """A study in few words. `runs`: how many have finished; times are in UTC, ISO 8601."""

    id: int
    started: str
    finished: str | None
    record: StudyRecord
    progress: Progress
    runs: int
