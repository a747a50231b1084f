"""Powers, exponentials, roots and logarithms of float32 in the compiled pass: within a unit of the last place."""

import pytest
import torch

from small_rules import recipe_of
from thalweg.numerics import cbrt, exp, log
from thalweg.testing.trajectories import EXECUTIONS, advance, begin

SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    -2.0,
    torch.inf,
    -torch.inf,
    torch.nan,
    1e-45,
    -1e-45,
    1e-38,
    3.4e38,
    88.8,
    -104.0,
]
GENERATOR = torch.Generator().manual_seed(0)
SIZES = 10 ** torch.empty(20_000).uniform_(-44, 38, generator=GENERATOR)
NEAR = 1 + 10 ** torch.empty(20_000).uniform_(-7, 0, generator=GENERATOR)
X = torch.cat(
    [torch.tensor(SPECIAL), SIZES, -SIZES, NEAR, 1 / NEAR, torch.empty(20_000).uniform_(-105, 90, generator=GENERATOR)]
)


def computed(function, x):
    """By the compiled pass: a step of a rule with nothing else in it."""

    def r(g, p, t):
        return (-function(g),)

    made = recipe_of(r)
    run = begin(made, made.resolve({}), torch.zeros_like(x))
    advance(EXECUTIONS["compiled"], [run], [x])
    return run.p


def off(found, exact):
    """In units of the last place of float32; what is not finite must be the same."""
    exact = exact.float().double() if exact.dtype != torch.float64 else exact
    rounded = exact.float()
    torch.testing.assert_close(found[~rounded.isfinite()], rounded[~rounded.isfinite()], equal_nan=True)
    there = rounded.isfinite()
    exponent = torch.frexp(exact[there]).exponent.clamp(min=-125)
    unit = torch.ldexp(torch.ones_like(exact[there]), exponent - 24)
    return ((found[there].double() - exact[there]).abs() / unit).max().item()


def root(x):
    return x.abs().pow(1 / 3).copysign(x)


LIMITS = {"exp": 0.76, "log": 0.52, "cbrt": 0.51}
"""0.5 is rounding once; what is below the normal numbers is rounded twice by exp: 0.75."""

FUNCTIONS = {"exp": (exp, torch.exp), "log": (log, torch.log), "cbrt": (cbrt, root)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    ours, exact = FUNCTIONS[name]
    assert off(computed(ours, X), exact(X.double())) <= LIMITS[name]


@pytest.mark.parametrize("y", [0.25, 1 / 3, -0.75, 2.0, 3.0, -1.0, -2.0, 0.0, 0.999, 5.5, -7.25, 17.0, 1e-6])
def test_powers(y):
    """By an exponent that is a row value, and so a float32."""
    held = torch.tensor(y).double()
    assert off(computed(lambda x: x**y, X), X.double() ** held) <= 0.52


@pytest.mark.parametrize("n", [1, 3, 8, 13])
def test_few_numbers(n):
    """What does not fill a vector is the same."""
    x = X[-n:]
    assert torch.equal(computed(exp, x), computed(exp, X)[-n:])
