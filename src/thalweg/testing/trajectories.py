"""Trajectories of a parameter under prescribed gradients, stepped by any execution."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.execution.compiled import CompiledElements
from thalweg.execution.driver import carry_out
from thalweg.execution.elements import Elements
from thalweg.execution.reference import ReferenceRows
from thalweg.execution.whole import transform_gradient
from thalweg.recipes.catalogue import Recipe, Values
from thalweg.recipes.compose import StepVariant, constrain
from thalweg.recipes.compose import close as closed
from thalweg.recipes.compose import step as composed
from thalweg.recipes.row_table import Array
from thalweg.recipes.trace import trace

Execution = Callable[[StepVariant, Sequence[Elements], Mapping[str, Array]], dict[str, Array]]


VECTOR, MATRIX = (48,), (6, 8)
"""Shapes of the parameter of a rule of elements, and of one that calls functions of matrices."""


def shape_of(structure: StepVariant) -> tuple[int, ...]:
    """The shape of parameters to step by this variant."""
    return MATRIX if trace(structure).transients else VECTOR


@dataclass(frozen=True)
class Problem:
    """The input of a trajectory: a start `[…]`, gradients `[steps, …]`, and a changing learning rate `[steps]`.

    Start and gradients are float32 numbers stored as float64, so that every precision gets the same problem.
    """

    start: Array
    gradients: Array
    rates: Array


def problem(rate: float, *, steps: int = 300, shape: tuple[int, ...] = VECTOR, seed: int = 0) -> Problem:
    """Gradients log-uniform in 1e-6..10 with random signs, and rates within a factor e of `rate`."""
    random = np.random.default_rng(seed)
    sizes = 10.0 ** random.uniform(-6.0, 1.0, (steps, *shape))
    gradients = sizes * random.choice([-1.0, 1.0], (steps, *shape))
    start = random.standard_normal(shape)
    return Problem(_single(start), _single(gradients), rate * np.exp(random.uniform(-1.0, 1.0, steps)))


def _single(x: Array) -> Array:
    return x.astype(np.float32).astype(np.float64)


@dataclass
class Run:
    """One parameter with its state and hyperparameters, after `t` steps."""

    structure: StepVariant
    values: dict[str, float | bool]
    p: Tensor
    states: tuple[Tensor, ...]
    row_states: dict[str, float]
    t: int = 0
    matrices: tuple[Tensor, ...] = ()

    def copy(self) -> "Run":
        """A copy of the run with tensors of its own."""
        states, matrices = (tuple(s.clone() for s in of) for of in (self.states, self.matrices))
        return Run(self.structure, dict(self.values), self.p.clone(), states, dict(self.row_states), self.t, matrices)

    def scalars(self) -> dict[str, float]:
        """The row values of the run's next step, without flags."""
        numbers = {name: float(v) for name, v in self.values.items() if not isinstance(v, bool)}
        return {"t": float(self.t + 1), **numbers, **self.row_states}

    def same(self, other: "Run") -> bool:
        """Whether parameter, states and row states are bitwise equal."""
        pairs = zip((self.p, *self.states, *self.matrices), (other.p, *other.states, *other.matrices), strict=True)
        alike = all(torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8)) for a, b in pairs)
        return alike and self.row_states == other.row_states


def begin(recipe: Recipe, values: Values, p: Tensor, rate: float | None = None) -> Run:
    """A run before its first step, on a copy of `p`. `rate`: the initial learning rate."""
    structure = recipe.structure(values)
    program = trace(structure)
    numbers = dict(values)
    if recipe.rule.rate and rate is not None:
        numbers[recipe.rule.rate] = rate
        numbers.update({h.name: rate for h in recipe.hyperparameters.values() if h.initially == recipe.rule.rate})
    first = {s.name: s.first(numbers, p) for s in structure.states}
    states = tuple(torch.zeros_like(p) + first[name] for name in program.states)
    declared = {s.name: s for s in structure.states}
    matrices = tuple(
        p.new_full(declared[name].shape_for(tuple(p.shape)), float(first[name])) for name in program.matrix_states
    )
    rows = {name: float(first[name]) for name in program.row_states}
    return Run(structure, numbers, p.clone(), states, rows, matrices=matrices)


def advance(
    execution: Execution, runs: Sequence[Run], gradients: Sequence[Tensor], rates: Sequence[float] | None = None
) -> None:
    """Takes one step of several runs of one step variant in one call. `rates`: new learning rates, one per run."""
    rate = runs[0].structure.rule.rate
    if rate is not None and rates is not None:
        for run, value in zip(runs, rates, strict=True):
            run.values[rate] = value
    gradients = [
        transform_gradient(run.structure, g, run.p, run.values) for run, g in zip(runs, gradients, strict=True)
    ]
    scalars = [run.scalars() for run in runs]
    arrays = {name: np.array([s[name] for s in scalars]) for name in scalars[0]}
    rows = [
        Elements(g, run.p, run.states, has_units=run.p.ndim > 1, matrices=run.matrices)
        for run, g in zip(runs, gradients, strict=True)
    ]
    after = execution(runs[0].structure, rows, arrays)
    for i, run in enumerate(runs):
        run.t += 1
        run.row_states = {name: float(new[i]) for name, new in after.items()}


def trajectory(
    execution: Execution, recipe: Recipe, values: Values, task: Problem, dtype: torch.dtype = torch.float64
) -> Array:
    """The parameter after every step, float64 `[steps, …]`."""
    run = begin(recipe, values, torch.tensor(task.start, dtype=dtype), float(task.rates[0]))
    history = []
    for gradient, rate in zip(torch.tensor(task.gradients, dtype=dtype), task.rates.tolist(), strict=True):
        advance(execution, [run], [gradient], [rate])
        history.append(run.p.double().numpy().copy())
    return np.array(history)


def _eager(structure: StepVariant, rows: Sequence[Elements], values: Mapping[str, Array]) -> dict[str, Array]:
    """The composed step called with tensors, a row at a time: without a trace, independent of every execution."""
    program = trace(structure)
    after = {name: np.array(values[name]) for name in program.row_states}
    for r, row in enumerate(rows):
        scalars = {name: float(array[r]) for name, array in values.items()}
        g, p, *held = (x.clone() for x in row.wide)
        states: dict[str, Any] = {s.name: scalars.get(s.name, 0.0) for s in structure.states}
        states |= dict(zip(program.states, held, strict=True))
        states |= dict(zip(program.matrix_states, row.matrices, strict=True))
        p, new = called(structure, g, p, states, scalars)
        row.store(p, *(torch.zeros_like(p) + new[name] for name in program.states))
        for name, matrix in zip(program.matrix_states, row.matrices, strict=True):
            matrix.copy_(new[name])
        for name in program.row_states:
            after[name][r] = new[name]
    return after


def called(
    structure: StepVariant, g: Tensor, p: Tensor, states: Mapping[str, Any], scalars: Mapping[str, float]
) -> tuple[Tensor, dict[str, Any]]:
    """One direct call of the composed step, of its constraint and of its end: (parameter, states by name)."""
    p, new = composed(structure, g, p, states, scalars["t"], scalars)
    if not structure.constrains:
        return p, new
    p = constrain(structure, p[None], scalars)[0] if p.ndim > 1 else p
    p, averages = closed(structure, p, states, scalars["t"], scalars)
    return p, {**new, **averages}


def by_reference(structure: StepVariant, rows: Sequence[Elements], values: Mapping[str, Array]) -> dict[str, Array]:
    """Steps every row in place by torch's operators; returns the new row states `[rows]`."""
    return carry_out(trace(structure), ReferenceRows(structure, rows), values)


def by_passes(structure: StepVariant, rows: Sequence[Elements], values: Mapping[str, Array]) -> dict[str, Array]:
    """As `by_reference`, by compiled passes. Each row must pass `dispatch.accepts`."""
    return carry_out(trace(structure), CompiledElements(structure, rows), values)


EXECUTIONS: Mapping[str, Execution] = {
    "eager": _eager,
    "reference": by_reference,
    "compiled": by_passes,
}
