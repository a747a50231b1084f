"""The path of a parameter under Thalweg and under each peer, on one task: float64 `[steps, n]`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thalweg.recipes.catalogue import recipe
from thalweg.testing.trajectories import EXECUTIONS, Problem, problem, trajectory

Path = NDArray[Any]
ROUNDING = 1e-12
DIFFERENT = 1e-6
"""From where on two paths are of two algorithms. Between the two, someone should look."""

STEPS = 300


def task(rate: float) -> Problem:
    """Gradients of 1e-6 to 10 in size, and a learning rate that changes at every step."""
    return problem(rate, steps=STEPS)


def steady(rate: float) -> Problem:
    """The same gradients at a learning rate that never changes."""
    return replace(task(rate), rates=np.full(STEPS, rate))


def ours(name: str, convention: str, given: Mapping[str, Any], on: Problem) -> Path:
    by = recipe(name).under(convention)
    return trajectory(EXECUTIONS["compiled"], by, by.resolve(given), on)


def of_keras(optimizer: Any, on: Problem) -> Path:
    import keras

    variable, history = keras.Variable(on.start, dtype="float64"), []
    optimizer.build([variable])
    for gradient, rate in zip(on.gradients, on.rates, strict=True):
        optimizer.learning_rate.assign(rate)
        optimizer.apply([keras.ops.convert_to_tensor(gradient, dtype="float64")])
        history.append(keras.ops.convert_to_numpy(variable))
    return np.array(history)


def of_optax(make: Any, given: Mapping[str, Any], on: Problem, *, constant: bool = False) -> Path:
    """make: a factory of `optax`; the schedule counts from 0. constant: whether it takes a number in place of one."""
    import jax
    import jax.numpy as jnp
    import optax

    rates = jnp.asarray(on.rates)
    transform = make(learning_rate=float(rates[0]) if constant else lambda count: rates[count], **given)

    def step(carry: Any, gradient: Any) -> Any:
        parameter, state = carry
        update, state = transform.update(gradient, state, parameter)
        parameter = optax.apply_updates(parameter, update)
        return (parameter, state), parameter

    start = jnp.asarray(on.start)
    return np.asarray(jax.lax.scan(step, (start, transform.init(start)), jnp.asarray(on.gradients))[1])


def of_torch(make: Any, given: Mapping[str, Any], on: Problem) -> Path:
    """make: a `torch.optim.Optimizer` class."""
    p = torch.nn.Parameter(torch.tensor(on.start))
    optimizer, history = make([p], lr=on.rates[0], **given), []
    for gradient, rate in zip(on.gradients, on.rates.tolist(), strict=True):
        optimizer.param_groups[0]["lr"] = rate
        p.grad = torch.tensor(gradient)
        optimizer.step()
        history.append(p.detach().numpy().copy())
    return np.array(history)


def distance(actual: Path, expected: Path, on: Problem) -> float:
    """The largest distance, as a share of the largest value that the element took."""
    scale = np.maximum(np.abs(expected).max(axis=0), np.abs(on.start))
    return float(np.where(np.isnan(actual - expected), np.inf, np.abs(actual - expected) / scale).max())
