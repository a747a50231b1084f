"""What every run of a study shares, and how a run is told to stop."""

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from thalweg.errors import InputError
from thalweg.population.checkpoints import Checkpoint, State
from thalweg.workloads.workload import Workload

LIBRARIES = tuple(str(path) for path in (Path(__file__).parents[1], Path(torch.__file__).parent))


@dataclass(frozen=True)
class Job:
    """What to train members on.

    trained: names of the parameters that the loss depends on. test: whether the test split is evaluated.
    random: whether the model draws random numbers, in training or evaluation. keep_weights: whether the final
    parameters and buffers are returned. clip_norm: what the norm of all gradients together may be before the update.
    """

    workload: Workload
    device: torch.device
    trained: frozenset[str]
    random: bool = False
    test: bool = False
    keep_weights: bool = False
    clip_norm: float | None = None


class StopTraining(Exception):  # noqa: N818 - not an error, like StopIteration
    """Training was told to stop before its end."""


@dataclass(frozen=True)
class Watch:
    """How training reports to its caller: `progress(runs)` at each measurement of so many runs, and `stop`.

    checkpoint: where these members' training is kept.
    """

    progress: Callable[[int], None]
    stop: threading.Event
    checkpoint: Checkpoint = field(default_factory=Checkpoint)

    def check(self, state: Callable[[], State | None]) -> None:
        """Between two steps: keeps the state where it is time to, and raises `StopTraining` where told to stop."""
        stop = self.stop.is_set()
        if self.checkpoint.kept and (stop or self.checkpoint.due()):
            now = state()
            if now is not None:
                self.checkpoint.save(now)
        if stop:
            raise StopTraining


def users_fault(workload: Workload, error: Exception) -> InputError:
    """An exception out of the user's model, loss or metric as one sentence with the line it came from."""
    return InputError(f"The workload {workload.name!r} cannot be trained: {raised(error)}.")


def raised(error: Exception) -> str:
    """What an exception says, in one line, and where it came from: the last line that is neither ours nor torch's."""
    text = str(error).strip().split("\n")[0]
    frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    theirs = [place for place in frames if not place.startswith(LIBRARIES)]
    place = (theirs or frames or ["an unknown place"])[-1]
    return f"{type(error).__name__}: {text} (raised at {place})"
