"""What every run of a study shares, and how a run is told to stop."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch

from thalweg.errors import InputError
from thalweg.workloads.workload import Workload


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
    """How training reports to its caller: `progress(runs)` at each measurement of so many runs, and `stop`."""

    progress: Callable[[int], None]
    stop: threading.Event

    def check(self) -> None:
        if self.stop.is_set():
            raise StopTraining


def users_fault(workload: Workload, error: Exception) -> InputError:
    """An exception out of the user's model, loss or metric as one sentence with the line it came from."""
    trace = error.__traceback__
    place = ""
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    text = str(error).strip().split("\n")[0]
    return InputError(
        f"The workload {workload.name!r} cannot be trained: {type(error).__name__}: {text} (raised at {place})."
    )
