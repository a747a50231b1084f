"""Exceptions of a user's model, loss or metric as sentences, and those that make training fall back to the loop."""

import os
import sys
from pathlib import Path
from types import FrameType

import torch

from thalweg.errors import InputError, first_line
from thalweg.workloads.workload import Workload

NOT_THE_USERS = tuple(f"{path}{os.sep}" for path in (Path(torch.__file__).parent, Path(__file__).parents[2]))


class Disagreement(Exception):  # noqa: N818 - not an error: the plain loop is the fallback
    """Raised when a traced program does not compute what the live model does; the message says how it showed."""


def users_fault(workload: Workload, error: BaseException, given: str = "") -> InputError:
    """An exception of the user's model, loss or metric as one sentence, with the user's line that raised it.

    given: a description of the code's inputs, if known.
    """
    return InputError(f"The workload {workload.name!r} cannot be trained: {raised(error, given)}.")


def raised(error: BaseException, given: str = "") -> str:
    """The exception's type and message in one line, with the user's line that raised it."""
    place = users_line(error)
    behind = "; ".join(filter(None, (f"raised at {place}" if place else "", given)))
    said = ": ".join(filter(None, (type(error).__name__, first_line(error).rstrip("."))))
    return f"{said} ({behind})" if behind else said


def exhausted(error: BaseException) -> bool:
    """Whether the error is a failed allocation (out of memory)."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def users_line(error: BaseException) -> str:
    """`"file:line"` of the innermost frame outside torch and Thalweg; empty if there is none."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((*NOT_THE_USERS, "<")):
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def calling_line() -> str:
    """`"file:line"` from where the caller's caller was called, past torch; empty if that is Thalweg's own."""
    torchs, ours = NOT_THE_USERS
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith((torchs, "<")):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(ours):
        return ""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
