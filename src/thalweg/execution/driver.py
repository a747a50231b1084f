"""The driver of a step: reductions and calls on matrices in order, the elementwise update, constraints. No other does.

A *row* is one parameter tensor (of a drop-in) or one parameter of one member (of a population). *Row values* have one
number a row, or one that several rows share: the step, hyperparameters, row states, reductions. `Rows` hold the tensors
and compute on them, in compiled passes or by torch's operators; row values are NumPy arrays, or tensors where nothing
may wait for a device.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from thalweg.recipes.compose import GRADIENT
from thalweg.recipes.stages import Stage
from thalweg.recipes.trace import Program, gradient_norm

Values = Mapping[str, Any]
"""Row values by name."""


class Rows(Protocol):
    """The rows of one step variant, and how stages are carried out on them."""

    def table(self, stage: Stage, values: Values) -> tuple[Any, dict[str, Any]]:
        """The stage's columns `[…, columns]`, and new row states by name."""

    def reduce(self, stage: Stage, columns: Any) -> dict[str, Any]:
        """What the stage measures, by name. A shared reduction is combined over these rows."""

    def call(self, stage: Stage, columns: Any) -> None:
        """Calls the stage's functions of matrices: their results overwrite transients, and matrix states."""

    def update(self, stage: Stage, columns: Any) -> None:
        """Writes what the stage computes: parameters and states."""

    def constrain(self, values: Values) -> None:
        """Constrains whole parameters."""

    def unrounded(self) -> AbstractContextManager[None]:
        """A context in which low-precision parameters are float32 copies; its end rounds each to storage, once."""


def prepare(stage: Stage, rows: Rows, values: Values) -> dict[str, Any]:
    """Carries out a stage before the update; returns the row values that it measures."""
    columns = rows.table(stage, values)[0]
    if not stage.calls:
        return rows.reduce(stage, columns)
    rows.update(stage, columns)
    rows.call(stage, columns)
    return {}


def carry_out(program: Program, rows: Rows, values: Values, measured: Values | None = None) -> dict[str, Any]:
    """Steps every row in place; returns the new row states.

    measured: what the first stage measures, where several groups of rows share it.
    """
    if program.before:
        first, *later = program.before
        values = {**values, **(prepare(first, rows, values) if measured is None else measured)}
        for stage in later:
            values = {**values, **prepare(stage, rows, values)}
    columns, after = rows.table(program.update, values)
    if not program.constrained:
        rows.update(program.update, columns)
        return after
    with rows.unrounded():
        rows.update(program.update, columns)
        rows.constrain(values)
        if program.closing is not None:
            rows.update(program.closing, rows.table(program.closing, values)[0])
    return after


class StepJob(Protocol):
    """Rows to step, with their program and row values."""

    @property
    def program(self) -> Program: ...

    @property
    def rows(self) -> Rows: ...

    @property
    def values(self) -> Values: ...


def measure_shared(jobs: Sequence[StepJob]) -> list[dict[str, Any] | None]:
    """What the first stage of each job measures, shared reductions combined over all jobs.

    `None` for a job that shares none. Every job adds to the global norm of the gradients.
    """
    names = frozenset[str]().union(*(job.program.shared for job in jobs))
    found: list[dict[str, Any] | None] = []
    parts: dict[str, list[Any]] = {name: [] for name in names}
    for job in jobs:
        shares = bool(job.program.shared)
        stage = job.program.before[0] if shares else gradient_norm((*job.program.states, *job.program.transients))
        if shares or GRADIENT in names:
            measured = prepare(stage, job.rows, job.values)
            for reduction in (r for r in stage.reductions if r.shared):
                parts[reduction.shared].append(measured[reduction.name])
        found.append(measured if shares else None)
    whole = {name: joint_norm(of) for name, of in parts.items()}
    for job, measured_of in zip(jobs, found, strict=True):
        if measured_of is not None:
            first = job.program.before[0].reductions
            measured_of.update({r.name: _beside(measured_of[r.name], whole[r.shared]) for r in first if r.shared})
    return found


def _beside(part: Any, whole: Any) -> Any:
    """The whole on the part's device."""
    return whole.to(part.device) if isinstance(part, Tensor) else whole


def joint_norm(norms: Any) -> Any:
    """The norm of everything, from the norms of its parts: a sequence of numbers, tensors or arrays `[…]`.

    On the CPU squares are added in order: NumPy's `sum` has another order for one member than for several.
    """
    if len(norms) and isinstance(norms[0], Tensor):
        return torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]), dim=0)
    squares = np.square(np.asarray(norms, np.float64))
    found = np.sqrt(squares.cumsum(axis=0)[-1] if len(squares) else squares.sum(axis=0))
    return found if found.ndim else float(found)
