"""What every run of a study shares, and how a run is told to stop."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from thalweg.errors import InputError, first_line
from thalweg.population.checkpoints import Checkpoint, State
from thalweg.workloads.workload import Workload

NOT_THE_USERS = tuple(f"{path}{os.sep}" for path in (Path(torch.__file__).parent, Path(__file__).parents[1]))
LARGE, LARGE_BYTES = 3e9, 64 << 20  # of a step's operations and of a model, beyond which runs have nothing to share


@dataclass(frozen=True)
class Job:
    """What to train members on.

    trained: names of the parameters that the loss of a batch reaches, as a population trains them; the loop trains all
    that require a gradient, each at the steps that reach it. test: whether the test split is evaluated. keep_weights:
    whether the final parameters and buffers are returned. clip_norm: what the norm of all gradients together may be
    before the update. random: whether the model draws random numbers, in training or evaluation; outside: whether it
    draws any from Python's or NumPy's generators.

    only_loop: why the model has to be called at every step; empty where it may be traced. shared_state: what all runs
    change that lies outside of the model. asks_for_parameters: whether the user's code does so in a step.
    whole_outputs: whether the model returns anything but tensors `[samples, …]`, so that outputs of parts of a split
    cannot be joined. notes: sentences on the model for the record.

    operations: of one step's products and convolutions. model_bytes: of parameters and buffers. activation_bytes: of
    what a step of the loop makes on its way forward. output_bytes: of what the model returns for one sample.

    built: fingerprints of the first seed's model, as it was built, which those of other seeds must have.
    starts: seed → where its training starts, once that is measured.
    """

    workload: Workload
    device: torch.device
    trained: frozenset[str]
    random: bool = False
    test: bool = False
    keep_weights: bool = False
    clip_norm: float | None = None
    outside: bool = False
    only_loop: str = ""
    shared_state: str = ""
    asks_for_parameters: bool = False
    whole_outputs: bool = False
    notes: tuple[str, ...] = ()
    operations: int = 0
    model_bytes: int = 0
    activation_bytes: int = 0
    output_bytes: int = 0
    built: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    starts: dict[int, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def large(self) -> str:
        """Why a population has nothing to gain on a CPU, where the arithmetic of one run is all that counts."""
        if self.device.type != "cpu":
            return ""
        if self.operations > LARGE:
            return f"a step of {self.operations / 1e9:.1f} billion operations leaves runs nothing to share"
        megabytes = self.model_bytes / 1e6
        return f"a model of {megabytes:,.0f} MB leaves runs nothing to share" if self.model_bytes > LARGE_BYTES else ""


class Disagreement(Exception):  # noqa: N818 - not an error: the loop trains what the program cannot
    """A traced program does not compute what the live model does; says what showed it."""


class StopTraining(Exception):  # noqa: N818 - not an error, like StopIteration
    """Training was told to stop before its end."""


@dataclass(frozen=True)
class Watch:
    """How training reports to its caller: `progress(runs)` at each measurement of so many runs, and `stop`.

    checkpoint: where these members' training is kept. live: whether a population has its live model called beside it.
    """

    progress: Callable[[int], None]
    stop: threading.Event
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    live: bool = True

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
