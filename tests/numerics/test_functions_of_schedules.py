"""The functions of schedules on NumPy arrays, and cos and floor on numbers, tensors and row values."""

import math

import numpy as np
import pytest
import torch

from thalweg.numerics import clip, cos, floor, log, maximum, minimum, power, sqrt, where
from thalweg.numerics.symbol import element, row
from thalweg.recipes.row_line import EXPRESSIONS
from thalweg.recipes.row_table import OPERATIONS, evaluate

VALUES = [0.0, 0.25, 1.0, 2.5, 3.0, 7.99, 1e6 + 0.5]
FUNCTIONS = {
    "sqrt": (sqrt, math.sqrt),
    "cos": (cos, math.cos),
    "floor": (floor, lambda x: float(math.floor(x))),
    "power": (lambda x: power(x, 1.5), lambda x: x**1.5),
    "power of a number": (lambda x: power(0.5, x), lambda x: 0.5**x),
    "maximum": (lambda x: maximum(x, 2.0), lambda x: max(x, 2.0)),
    "minimum": (lambda x: minimum(2.0, x), lambda x: min(x, 2.0)),
    "clip": (lambda x: clip(x, 0.5, 2.0), lambda x: min(max(x, 0.5), 2.0)),
    "where": (lambda x: where(x < 2, 0.0, x), lambda x: 0.0 if x < 2 else x),
    "where of numbers": (lambda x: where(x < 2, 0.0, 1.0), lambda x: 0.0 if x < 2 else 1.0),
    "log": (lambda x: log(1.0 + x), lambda x: math.log(1 + x)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_answer_everywhere(name):
    function, plain = FUNCTIONS[name]
    expected = [plain(x) for x in VALUES]
    leaves = {"row": lambda s: np.array(VALUES), "literal": lambda s: np.array(s.name)}
    with np.errstate(all="raise", under="ignore"):
        found = {
            "numbers": [function(x) for x in VALUES],
            "array": function(np.array(VALUES)),
            "tensor": function(torch.tensor(VALUES, dtype=torch.float64)).numpy(),
            "rows": evaluate(function(row("t")), lambda s: leaves[s.op](s), OPERATIONS, {}),
        }
    for kind, values in found.items():
        np.testing.assert_allclose(values, expected, rtol=1e-15, atol=1e-16, err_msg=kind)


def test_the_logarithm_of_arrays_below_1():
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(log(np.array([0.0, -1.0])), [-math.inf, math.nan])


def test_cos_is_of_row_values():
    assert (cos(row("t")).op, cos(row("t")).row) == ("cos", True)
    assert "cos" in EXPRESSIONS
    with pytest.raises(TypeError, match="cos takes row values"):
        cos(element("g"))
