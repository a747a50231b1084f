"""What a run and a study leave behind: immutable facts, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["tuning", "confirmation", "defaults"]


@dataclass(frozen=True)
class Epoch:
    """One epoch's measurements; a field is `None` once the run has diverged.

    train_loss: sample-weighted mean of the batches' losses, each taken before its update.
    """

    train_loss: float | None
    validation_loss: float | None
    validation_metric: float | None


@dataclass(frozen=True)
class RunRecord:
    """One configuration trained with one seed."""

    contender: str  # the name on the leaderboard
    optimizer: str  # the optimizer's name in the catalogue
    hyperparameters: Mapping[str, Any]  # everything that is not the published default, and the learning rate
    learning_rate: float | None
    seed: int
    role: Role
    epochs: tuple[Epoch, ...]
    steps_per_epoch: int
    initial_loss: float | None = None  # loss of the first batch, before any update
    train_metric: float | None = None  # over the training split, at the end
    test_metric: float | None = None  # at the last epoch; confirmation and defaults runs only
    best_test_metric: float | None = None  # at the epoch with the best validation metric
    diverged_at: int | None = None  # the step (from 1) whose loss or parameters were not finite
    seconds: float = 0.0  # this run's share of the wall-clock time of the population it trained in
    execution: str = ""  # how it was trained: "population of 32, compiled", "loop, reference: <why>", …

    @property
    def validation_metric(self) -> float | None:
        """The validation metric at the end of training; `None` if diverged."""
        return self.epochs[-1].validation_metric if self.epochs and self.diverged_at is None else None

    @property
    def worsened(self) -> bool:
        """Whether the last epoch's training loss is above the loss before the first update."""
        last = self.epochs[-1].train_loss if self.epochs else None
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
    epochs: int
    batch_size: int
    samples: Mapping[str, int]  # split → number of samples
    parameters: int  # of the model
    contenders: tuple[str, ...]
    learning_rates: Mapping[str, tuple[float, ...]]  # contender → rates tried
    tuning_seeds: tuple[int, ...]
    confirmation_seeds: tuple[int, ...]
    protocol: int
    environment: Mapping[str, Any]  # versions, machine, threads
    plan: Mapping[str, Any] = field(default_factory=dict)  # how the runs were executed
