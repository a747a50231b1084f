"""What every run of a study shares, and how a run is told to stop."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from thalweg.errors import InputError, first_line
from thalweg.population.checkpoints import Checkpoint, State
from thalweg.workloads.workload import Workload

NOT_THE_USERS = tuple(f"{path}{os.sep}" for path in (Path(torch.__file__).parent, Path(__file__).parents[1]))


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


def users_fault(workload: Workload, error: BaseException, given: str = "") -> InputError:
    """An exception out of the user's model, loss or metric as one sentence, with the user's line it came from.

    given: what the code was given, where that is known.
    """
    return InputError(f"The workload {workload.name!r} cannot be trained: {raised(error, given)}.")


def raised(error: BaseException, given: str = "") -> str:
    """What an exception says, in one line, and the user's line that it came from."""
    place = _users_line(error)
    behind = "; ".join(filter(None, (f"raised at {place}" if place else "", given)))
    said = ": ".join(filter(None, (type(error).__name__, first_line(error).rstrip("."))))
    return f"{said} ({behind})" if behind else said


def exhausted(error: BaseException) -> bool:
    """Whether an allocation failed."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _users_line(error: BaseException) -> str:
    """`"file:line"` of the innermost call that is neither torch's nor ours; empty where there is none."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((*NOT_THE_USERS, "<")):
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
