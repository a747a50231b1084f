"""Progress reports, checkpoints and cancellation of training."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from thalweg.population.training.checkpoints import Checkpoint
from thalweg.population.updates.snapshot import Snapshot
from thalweg.records.types import Measurement


class StopTraining(Exception):  # noqa: N818 - not an error, like StopIteration
    """Training was stopped before its end."""


class Signal(Protocol):
    """A flag that is set once, such as `threading.Event`."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True)
class TrainingControl:
    """The caller's side of training.

    measured: is called at every measurement with the step and each member's point of its curve; `None` for a member
        that ended before. Members that are trained again tell their steps again. stop: ends training once it is set.
    checkpoint: that of these members. live: whether a population is compared with its live model in the first epoch.
    """

    measured: Callable[[int, Sequence[Measurement | None]], None]
    stop: Signal = field(default_factory=threading.Event)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    live: bool = True

    def check(self, state: Callable[[], Snapshot | None]) -> None:
        """Call between two steps: saves a checkpoint if due or at `stop`; raises `StopTraining` at `stop`."""
        stop = self.stop.is_set()
        if self.checkpoint.kept and (stop or self.checkpoint.due()):
            now = state()
            if now is not None:
                self.checkpoint.save(now)
        if stop:
            raise StopTraining
