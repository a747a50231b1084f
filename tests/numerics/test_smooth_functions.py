"""Roots, powers of e and logarithms: near enough to the truth, special values included, on whatever a rule may hold."""

import math

import numpy as np
import pytest
import torch

from small_rules import recipe_of
from thalweg.numerics import cbrt, exp, log
from thalweg.recipes.row_table import table
from thalweg.recipes.trace import trace
from thalweg.rules.hyperparameters import Rate
from thalweg.rules.states import Zeros
from thalweg.testing.trajectories import EXECUTIONS, advance, begin

VALUES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.3, -2.5, 27.0, 80.0, -80.0, 1e-30, -1e-30, 1e30)
FUNCTIONS = {"root": cbrt, "power": exp, "logarithm": log}


def expected(x, dtype=torch.float64):
    """By definition. What is too large for a dtype is infinite there."""
    with np.errstate(all="ignore"):
        exact = {"root": np.cbrt(x), "power": np.exp(x), "logarithm": np.log(x)}
    return {name: torch.tensor(float(value), dtype=torch.float64).to(dtype) for name, value in exact.items()}


def assert_near(actual, name, values=VALUES, dtype=torch.float64):
    """A cube root by way of ln x · ⅓ rounds ⅓ by a quarter of eps at most, and |ln x| < 70; the others round once."""
    wanted = torch.stack([expected(x, dtype)[name] for x in values])
    tolerance = torch.finfo(dtype).eps * (20 if name == "root" else 2)
    torch.testing.assert_close(actual, wanted, rtol=tolerance, atol=0, equal_nan=True, msg=name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers(name):
    assert_near(torch.tensor([FUNCTIONS[name](x) for x in VALUES], dtype=torch.float64), name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_tensors(name, dtype):
    values = torch.tensor(VALUES, dtype=dtype)
    assert_near(FUNCTIONS[name](values), name, values.tolist(), dtype)


def test_a_power_that_is_too_large():
    assert exp(1e4) == math.inf
    assert exp(-1e4) == 0


def test_the_cube_root_keeps_the_sign():
    assert cbrt(-27.0) == pytest.approx(-3, rel=1e-15)
    assert math.copysign(1, cbrt(torch.tensor(-0.0))) == -1


def smooth(g, p, root: Zeros, power: Zeros, logarithm: Zeros, t, *, lr: Rate = 1.0):
    """Keeps each function of the gradient as a state."""
    return lr * g, cbrt(g), exp(g), log(g)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_elements_in_every_execution(execution, dtype):
    recipe = recipe_of(smooth)
    values = torch.tensor(VALUES, dtype=dtype)
    run = begin(recipe, recipe.resolve({}), torch.zeros_like(values))
    advance(EXECUTIONS[execution], [run], [values])
    for name, actual in zip(FUNCTIONS, run.states, strict=True):
        assert_near(actual, name, values.tolist(), dtype)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows(name):
    def r(g, p, t, *, lr: Rate = 1.0):
        return (FUNCTIONS[name](lr) * g,)

    recipe = recipe_of(r)
    columns, _ = table(trace(recipe.structure(recipe.resolve({}))).update, {"lr": np.array(VALUES), "t": 1.0})
    assert_near(torch.tensor(columns[:, 0]), name)
