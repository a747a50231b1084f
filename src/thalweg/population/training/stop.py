"""Progress reports, checkpoints and cancellation of training."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from thalweg.population.training.checkpoints import Checkpoint
from thalweg.population.updates.snapshot import Snapshot


class StopTraining(Exception):  # noqa: N818 - not an error, like StopIteration
    """Training was stopped before its end."""


@dataclass(frozen=True)
class TrainingControl:
    """The caller's side of training: `progress(runs)` is called at each measurement of so many runs; `stop` ends it.

    checkpoint: that of these members. live: whether a population is compared with its live model in the first epoch.
    """

    progress: Callable[[int], None]
    stop: threading.Event
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
