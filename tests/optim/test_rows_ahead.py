"""Row values ahead: whatever changes, the lines are those of the table, and steps those of another optimizer."""

import numpy as np
import pytest
import torch

import thalweg.optim
from thalweg.optim.stepping.rows_ahead import AHEAD, RowsAhead
from thalweg.recipes.catalogue import recipe, recipes
from thalweg.recipes.row_line import part_of
from thalweg.recipes.row_table import table
from thalweg.recipes.trace import trace

PLAIN = [
    name
    for name, of in recipes().items()
    if not (program := trace(of.structure(of.resolve({})))).row_states
    and not program.before
    and not program.constrained
]


def values_at(base, step, pattern):
    """One number changes at every step, then none, then two, then another one."""
    numbers = [name for name, value in base.items() if isinstance(value, float) and value]
    turn = {"rate": numbers[:1], "none": [], "two": numbers[:2], "last": numbers[-1:]}[pattern]
    return {**base, **{name: base[name] * (1 - 0.001 * step) for name in turn}}


@pytest.mark.parametrize("name", PLAIN)
def test_lines_are_those_of_the_table(name):
    of = recipe(name)
    base = of.resolve({})
    program = trace(of.structure(base))
    ahead, step, values = RowsAhead(program.update, program.inputs), 0, base
    for pattern, count in (("none", 3), ("rate", 5), ("none", 2), ("rate", AHEAD + 3), ("none", AHEAD + 3), ("two", 3),
                           ("last", 4), ("rate", 2), ("none", 2)):  # fmt: skip
        for _ in range(count):
            step += 1
            values = values if pattern == "none" else values_at(base, step, pattern)
            inputs = {n: np.array([values[n]], np.float64) for n in program.inputs}
            expected = table(program.update, {**inputs, "t": np.array([float(step)])})[0]
            found = ahead.line(float(step), values)
            np.testing.assert_allclose(
                found, np.broadcast_to(expected, found.shape), rtol=1e-14, atol=0, equal_nan=True
            )


def test_what_depends_on_the_rate_alone_is_a_small_part():
    program = trace(recipe("adam").structure(recipe("adam").resolve({})))
    part = part_of(program.update, "lr")
    assert 1 <= len(part.columns) < len(program.update.columns)


@pytest.mark.parametrize("start", [1, 100])
def test_a_step_that_is_counted_back_or_ahead(start):
    """As after a checkpoint is loaded: lines are those of the step that is asked for."""
    of = recipe("adam")
    base = of.resolve({})
    program = trace(of.structure(base))
    ahead = RowsAhead(program.update, program.inputs)
    for step in (start, start + 1, start + AHEAD + 5, start, start + 1):
        values = values_at(base, step, "rate")
        inputs = {n: np.array([values[n]], np.float64) for n in program.inputs}
        expected = table(program.update, {**inputs, "t": np.array([float(step)])})[0]
        np.testing.assert_allclose(ahead.line(float(step), values), expected, rtol=1e-14)


@pytest.mark.parametrize("name", ["Adam", "SGD", "Adagrad", "Lion"])
def test_steps_with_a_scheduler_are_those_of_new_optimizers(name):
    """Each of which is given its rate as it is made, and the state that the other has."""
    torch.manual_seed(0)
    own, other = (torch.nn.Parameter(torch.ones(5, dtype=torch.float64)) for _ in range(2))
    optimizer, state = getattr(thalweg.optim, name)([own], lr=0.1), None
    for step in range(200):
        rate = 0.1 * (1 - step / 400) if step % 50 < 30 else 0.05
        own.grad = torch.randn(5, dtype=torch.float64)
        other.grad = own.grad.clone()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        new = getattr(thalweg.optim, name)([other], lr=rate)
        if state is not None:
            new.load_state_dict({**state, "param_groups": new.state_dict()["param_groups"]})
        new.step()
        state = new.state_dict()
        torch.testing.assert_close(own, other, rtol=1e-13, atol=1e-15)
