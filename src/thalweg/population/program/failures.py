"""Exceptions out of a user's model, loss or metric, as sentences; and those by which training changes its course."""

import os
from pathlib import Path

import torch

from thalweg.errors import InputError, first_line
from thalweg.workloads.workload import Workload

NOT_THE_USERS = tuple(f"{path}{os.sep}" for path in (Path(torch.__file__).parent, Path(__file__).parents[2]))


class Disagreement(Exception):  # noqa: N818 - not an error: the loop trains what the program cannot
    """A traced program does not compute what the live model does; says what showed it."""


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
