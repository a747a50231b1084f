"""Models of students: a text such as `hidden=50`, a factory of the user's file, or a factory."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from thalweg.errors import InputError, shown
from thalweg.workloads.mlp import MLP
from thalweg.workloads.user_files import is_place, object_at
from thalweg.workloads.workload import Workload

HIDDEN = re.compile(r"hidden\s*=\s*(\d{1,6}(?:\s*[x,]\s*\d{1,6})*)")


def student_factory(student: Any, workload: Workload, classes: int) -> Callable[[], nn.Module]:
    """The factory of a student's model, `None` for the workload's own. classes: outputs of a `hidden=…`.

    `"hidden=50"` is a fully connected ReLU network with one hidden layer of 50, `"hidden=100x50"` with two.

    Raises `InputError` where a text is neither that nor a place of a factory.
    """
    if student is None:
        return workload.model
    if isinstance(student, str):
        found = HIDDEN.fullmatch(student.strip())
        if found is not None:
            return _fully_connected(workload, [int(width) for width in re.split(r"\D+", found[1])], classes)
        if is_place(student):
            student = object_at(student)
    if not callable(student) or isinstance(student, nn.Module | str):
        raise InputError(
            'student must be "hidden=50", "hidden=100x50", my_file.py:factory, or a function that returns a new'
            f" nn.Module, got {shown(student)}."
        )
    return student  # type: ignore[no-any-return]


def _fully_connected(workload: Workload, hidden: list[int], classes: int) -> Callable[[], nn.Module]:
    inputs = workload.train.first([1])[0].inputs[: workload.objective.layout.inputs]
    if len(inputs) != 1:
        raise InputError(f"hidden=… takes one input, and {workload.name!r} has {len(inputs)}: give a factory.")
    if min(hidden) < 1:
        raise InputError(f"The hidden layers of a student must have at least one unit, got {hidden}.")
    x = inputs[0]
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    return partial(_network, (x[0].numel(), *hidden, classes), dtype)


def _network(widths: tuple[int, ...], dtype: torch.dtype) -> nn.Module:
    return MLP(widths, "he-normal").to(dtype)
