"""How training reports to its caller, and is told to stop."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from thalweg.population.training.checkpoints import Checkpoint
from thalweg.population.updates.snapshot import Snapshot


class StopTraining(Exception):  # noqa: N818 - not an error, like StopIteration
    """Training was told to stop before its end."""


@dataclass(frozen=True)
class TrainingControl:
    """How training reports to its caller: `progress(runs)` at each measurement of so many runs, and `stop`.

    checkpoint: where these members' training is kept. live: whether a population has its live model called beside it.
    """

    progress: Callable[[int], None]
    stop: threading.Event
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    live: bool = True

    def check(self, state: Callable[[], Snapshot | None]) -> None:
        """Between two steps: keeps the state where it is time to, and raises `StopTraining` where told to stop."""
        stop = self.stop.is_set()
        if self.checkpoint.kept and (stop or self.checkpoint.due()):
            now = state()
            if now is not None:
                self.checkpoint.save(now)
        if stop:
            raise StopTraining
