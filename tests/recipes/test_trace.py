"""What one symbolic call finds: which states exist, which row values are read, and what goes where."""

import numpy as np
import pytest
import torch

from small_rules import recipe_of
from thalweg.numerics import where
from thalweg.recipes.catalogue import recipe, recipes
from thalweg.recipes.row_table import table
from thalweg.recipes.trace import trace
from thalweg.rules.hyperparameters import Flag, Rate
from thalweg.rules.states import RowOnes, Zeros
from thalweg.testing import cases
from thalweg.testing.trajectories import EXECUTIONS, advance, begin


def program(of, **given):
    return trace(of.structure(of.resolve(given)))


@pytest.mark.parametrize(
    ("name", "given", "states"),
    [
        ("sgd", {}, ()),
        ("sgd", {"dampening": 0.5}, ()),  # without momentum it means nothing
        ("sgd", {"momentum": 0.9}, ("momentum_buffer",)),
        ("adam", {}, ("exp_avg", "exp_avg_sq")),
        ("adam", {"amsgrad": True}, ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")),
        ("adabound", {"amsbound": True}, ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")),
        ("rmsprop", {}, ("square_avg",)),
        ("rmsprop", {"momentum": 0.5}, ("square_avg", "momentum_buffer")),
        ("rmsprop", {"centered": True}, ("square_avg", "grad_avg")),
        ("nadam", {}, ("exp_avg", "exp_avg_sq")),
    ],
)
def test_states_that_a_setting_uses(name, given, states):
    assert program(recipe(name), **given).states == states


def test_row_states_are_apart():
    assert program(recipe("nadam")).row_states == ("mu_product",)


def test_a_state_that_is_only_read_exists():
    def r(g, p, anchor: Zeros, t, *, lr: Rate = 0.1, pulled: Flag = False):
        return lr * (g + (p - anchor) if pulled else g), anchor

    assert program(recipe_of(r)).states == ()
    assert program(recipe_of(r), pulled=True).states == ("anchor",)


def test_inputs_are_what_is_read():
    assert program(recipe("sgd")).inputs == ("lr",)
    assert program(recipe("sgd"), weight_decay=0.1).inputs == ("lr", "weight_decay")
    assert program(recipe("sgd"), momentum=0.5).inputs == ("lr", "momentum", "dampening")


@pytest.mark.parametrize("case", [c for r in recipes().values() for c in cases(r)], ids=str)
def test_every_structure_is_traced_once(case):
    structure = case.recipe.structure(case.values)
    assert trace(structure) is trace(case.recipe.structure(dict(case.values)))


def test_rules_of_one_name_are_different_structures():
    def make(factor):
        def r(g, p, t, *, lr: Rate = 0.1):
            return (factor * lr * g,)

        return recipe_of(r)

    one, two = make(1.0), make(2.0)
    assert program(one).update.columns[0].key != program(two).update.columns[0].key


def test_table_broadcasts_steps_over_rows():
    rows = {"lr": np.array([0.1, 0.2]), "beta1": np.array([0.9, 0.8]), "beta2": np.array([0.99, 0.9]), "eps": 1e-8}
    adam = program(recipe("adam")).update
    many, _ = table(adam, {**rows, "t": np.arange(1.0, 4.0)[:, None]})
    assert many.shape == (3, 2, len(adam.columns))
    for i in range(3):
        one, _ = table(adam, {**rows, "t": i + 1.0})
        np.testing.assert_allclose(many[i], one, rtol=1e-13)  # an ulp of a power, over 1 - 0.99 at the first step


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_states_may_take_each_others_place(execution):
    """A new state may be the gradient, the old parameter, another state, or a number: none is read after it changed."""

    def r(g, p, newer: Zeros, older: Zeros, last: Zeros, start: Zeros, t, *, lr: Rate = 0.5):
        return lr * g + 0 * (older + last + start), g, newer, p, where(t == 1, 7.0, start)

    recipe = recipe_of(r)
    run = begin(recipe, recipe.resolve({}), torch.tensor([10.0]))
    for gradient in (1.0, 2.0, 4.0):
        advance(EXECUTIONS[execution], [run], [torch.tensor([gradient])])
    assert run.p.item() == 10 - 0.5 * 7
    assert [state.item() for state in run.states] == [4.0, 2.0, 10 - 0.5 * 3, 7.0]


def test_row_state_moves_once_a_row():
    def r(g, p, count: RowOnes, t, *, lr: Rate = 0.5):
        return lr * count * g, count * 2

    recipe = recipe_of(r)
    for execution in EXECUTIONS.values():
        runs = [begin(recipe, recipe.resolve({"lr": lr}), torch.zeros(2)) for lr in (0.5, 1.0)]
        for _ in range(3):
            advance(execution, runs, [torch.ones(2)] * 2)
        assert [run.row_states["count"] for run in runs] == [8.0, 8.0]
        assert [run.p.tolist() for run in runs] == [[-3.5] * 2, [-7.0] * 2]
