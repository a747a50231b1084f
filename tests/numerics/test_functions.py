"""The functions of rules, on numbers, tensors, rows and in every execution: one answer, NaN and infinity included."""

import itertools
import math

import numpy as np
import pytest
import torch

from small_rules import recipe_of
from thalweg.numerics import absolute, clip, lerp, maximum, minimum, power, round_to_default_dtype, sign, sqrt, where
from thalweg.numerics.symbol import element
from thalweg.recipes.row_table import table
from thalweg.recipes.trace import trace
from thalweg.rules.hyperparameters import Rate
from thalweg.rules.states import Zeros
from thalweg.testing.trajectories import EXECUTIONS, advance, begin

SPECIAL = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.3, -2.5, 1e-30)
PAIRS = list(itertools.product(SPECIAL, SPECIAL))


def functions(a, b):
    """Every function, applied to numbers, tensors or symbols."""
    return {
        "root": sqrt(a),
        "size": absolute(a),
        "direction": sign(a),
        "larger": maximum(a, b),
        "smaller": minimum(a, b),
        "above": maximum(a, 0.3),
        "below": minimum(0.3, a),
        "clipped": clip(a, -0.3, b),
        "chosen": where(a < b, a, b),
        "held": where(a >= b, 0.1 * a, 7.0),
        "equal": where(a == b, a, -b),
    }


def expected(a, b):
    """The same by definition, for two numbers."""
    nan = math.isnan(a) or math.isnan(b)
    bounded = math.nan if math.isnan(a) else max(a, -0.3)
    return {
        "root": math.sqrt(a) if a >= 0 else math.nan,
        "size": math.fabs(a),
        "direction": math.nan if math.isnan(a) else math.copysign(1.0, a) if a else 0.0,
        "larger": math.nan if nan else max(a, b),
        "smaller": math.nan if nan else min(a, b),
        "above": math.nan if math.isnan(a) else max(a, 0.3),
        "below": math.nan if math.isnan(a) else min(a, 0.3),
        "clipped": math.nan if nan else min(bounded, b),
        "chosen": a if a < b else b,
        "held": 0.1 * a if a >= b else 7.0,
        "equal": a if a == b else -b,
    }


NAMES = tuple(expected(1.0, 1.0))
EXPECTED = np.array([list(expected(a, b).values()) for a, b in PAIRS])


def every_function(
    g, p, root: Zeros, size: Zeros, direction: Zeros, larger: Zeros, smaller: Zeros, above: Zeros, below: Zeros,
    clipped: Zeros, chosen: Zeros, held: Zeros, equal: Zeros, t, *, lr: Rate = 1.0,
):  # fmt: skip
    """Keeps each function of the gradient and the parameter as a state."""
    return (lr * g, *functions(g, p).values())


def test_numbers():
    actual = np.array([list(functions(a, b).values()) for a, b in PAIRS])
    np.testing.assert_array_equal(actual, EXPECTED)


def test_tensors():
    a, b = torch.tensor(PAIRS, dtype=torch.float64).T
    for j, (name, actual) in enumerate(functions(a, b).items()):
        assert actual.dtype == torch.float64
        np.testing.assert_array_equal(actual.numpy(), EXPECTED[:, j], err_msg=name)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("number", SPECIAL)
def test_a_tensor_beside_a_number(number, first):
    tensor = torch.tensor(SPECIAL, dtype=torch.float64)
    pairs = [(number, x) if first else (x, number) for x in SPECIAL]
    actual = functions(number, tensor) if first else functions(tensor, number)
    for name, column in actual.items():
        wanted = [expected(a, b)[name] for a, b in pairs]
        np.testing.assert_array_equal(np.broadcast_to(np.asarray(column), len(pairs)), wanted, err_msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_elements_in_every_execution(execution, dtype):
    recipe = recipe_of(every_function)
    a, b = torch.tensor(PAIRS, dtype=dtype).T.contiguous()
    run = begin(recipe, recipe.resolve({}), b)
    advance(EXECUTIONS[execution], [run], [a])
    for j, name in enumerate(NAMES):
        exact = [expected(x, y)[name] for x, y in zip(a.double().tolist(), b.double().tolist(), strict=True)]
        wanted = torch.tensor(exact, dtype=torch.float64).to(dtype)
        tolerance = torch.finfo(dtype).eps  # one rounding, of 0.1 · a
        torch.testing.assert_close(run.states[j], wanted, rtol=tolerance, atol=0, equal_nan=True, msg=name)


def test_rows():
    def r(g, p, t, *, lr: Rate = 1.0, other: Rate = 1.0):
        total = g
        for value in functions(lr, other).values():
            total = total + value * g
        return (total,)

    recipe = recipe_of(r)
    program = trace(recipe.structure(recipe.resolve({})))
    a, b = np.array(PAIRS).T
    columns, _ = table(program.update, {"t": 1.0, "lr": a, "other": b})
    np.testing.assert_array_equal(columns, EXPECTED)


BASES = (0.0, 1e-30, 1e-6, 0.3, 1.0, 2.5, 1e9, math.inf, math.nan)


def raised(x, exponent):
    """x to an exponent of 0.25 or -0.25 by roots, for one number of 0 or more."""
    root = math.sqrt(math.sqrt(x))
    return root if exponent > 0 else 1 / root if root else math.inf


def assert_raised(actual, exponent, dtype=torch.float64):
    exact = torch.tensor([raised(x, exponent) for x in torch.tensor(BASES, dtype=dtype).tolist()], dtype=torch.float64)
    tolerance = 2 * torch.finfo(dtype).eps  # a power is right to two units in the last place
    torch.testing.assert_close(actual, exact.to(dtype), rtol=tolerance, atol=0, equal_nan=True)


@pytest.mark.parametrize("exponent", [0.25, -0.25])
def test_powers_of_numbers_tensors_and_rows(exponent):
    assert_raised(torch.tensor([power(x, exponent) for x in BASES], dtype=torch.float64), exponent)
    assert_raised(power(torch.tensor(BASES, dtype=torch.float64), exponent), exponent)
    assert math.isnan(power(-0.3, exponent))

    def r(g, p, t, *, lr: Rate = 1.0, other: Rate = 1.0):
        return (power(lr, other) * g,)

    program = trace((made := recipe_of(r)).structure(made.resolve({})))
    columns, _ = table(program.update, {"t": 1.0, "lr": np.array(BASES), "other": exponent})
    assert_raised(torch.tensor(columns[:, 0]), exponent)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_powers_of_elements_in_every_execution(execution, dtype):
    def r(g, p, state: Zeros, inverse: Zeros, t, *, lr: Rate = 0.25):
        return g, power(p, lr), power(p, -lr)

    made = recipe_of(r)
    run = begin(made, made.resolve({}), torch.tensor(BASES * 9, dtype=dtype))  # enough for vectors
    advance(EXECUTIONS[execution], [run], [torch.zeros_like(run.p)])
    for state, exponent in zip(run.states, (0.25, -0.25), strict=True):
        for part in state.view(9, -1):
            assert_raised(part, exponent, dtype)


def test_kept_rounds_to_the_default_dtype():
    assert round_to_default_dtype(0.1) == float(np.float32(0.1))


def test_kept_refuses_elements():
    with pytest.raises(TypeError, match="round_to_default_dtype takes a row value"):
        round_to_default_dtype(element("g"))


def test_two_numbers_under_a_tensor_are_exact():
    chosen = where(torch.tensor([True, False]), 0.1, 1.2)
    assert chosen.tolist() == [0.1, 1.2]


@pytest.mark.parametrize("weight", [0.0, 1e-3, 0.3, 0.5, 0.7, 0.999, 1.0])
def test_lerp_is_torchs(weight):
    """Of tensors and of numbers, what is not finite included."""
    starts, ends = (torch.tensor(x, dtype=torch.float64) for x in zip(*PAIRS, strict=True))
    wanted = torch.lerp(starts, ends, weight)
    torch.testing.assert_close(lerp(starts, ends, weight), wanted, rtol=1e-15, atol=1e-16, equal_nan=True)
    weights = torch.tensor(weight, dtype=torch.float64)
    torch.testing.assert_close(lerp(starts, ends, weights), wanted, rtol=1e-15, atol=1e-16, equal_nan=True)
    one_by_one = [lerp(a, b, weight) for a, b in PAIRS]
    torch.testing.assert_close(
        torch.tensor(one_by_one, dtype=torch.float64), wanted, rtol=1e-15, atol=1e-16, equal_nan=True
    )


def test_lerp_is_exact_at_both_ends():
    """However far apart they are."""
    for start, end in ((1e16, 1.0), (1.0, 1e16), (-3.0, 1e-300)):
        assert (lerp(start, end, 0.0), lerp(start, end, 1.0)) == (start, end)
