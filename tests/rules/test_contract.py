"""A rule's signature is its declaration: what is read off it, and what is refused."""

import pytest
import torch

from small_rules import recipe_of
from thalweg.errors import InputError
from thalweg.numerics import round_to_default_dtype
from thalweg.optim.classes import drop_in
from thalweg.recipes.trace import trace
from thalweg.rules.contract import preset, rule
from thalweg.rules.hyperparameters import Decay, Flag, InitialRate, Limit, Momentum, OpenFraction, Penalty, Rate
from thalweg.rules.signature import Spelling
from thalweg.rules.states import FirstRate, InitialAccumulator, RowFirstRate, RowOnes, RowSum, State, Zeros
from thalweg.testing.trajectories import EXECUTIONS, advance, begin


def declared(g, p, a: Zeros, b: RowOnes, t, *, lr: Rate = 0.1, mu: Momentum = 0.9, first: InitialRate = None,
             nesterov: Flag = True):  # fmt: skip
    """A summary.

    More.
    """
    return lr * g, a, b


def program_of(function):
    recipe = recipe_of(function)
    return trace(recipe.structure(recipe.resolve({})))


def test_what_a_signature_declares():
    made = rule(paper="someone", drop_in="Test(lr, mu, nesterov)", rates=(1e-3, 1.0))(declared)
    assert (made.name, made.summary, made.paper) == ("declared", "A summary.", "someone")
    assert made.drop_in == Spelling("Test", ("lr", "mu", "nesterov"))
    assert made.rule.states == (State("a"), State("b", 1.0, per_row=True))
    lr, mu, first, nesterov = made.rule.hyperparameters.values()
    assert (lr.name, lr.default, str(lr.range), lr.switch) == ("lr", 0.1, "[0, inf)", False)
    assert (mu.default, str(mu.range), mu.switch) == (0.9, "[0, 1]", True)
    assert (first.default, str(first.range), first.initially) == (None, "(0, inf)", "lr")
    assert (nesterov.default, nesterov.is_flag) == (True, True)


def test_a_preset_keeps_the_rule_and_overrides():
    made = rule(paper="someone", drop_in="Test(lr)", rates=(1e-3, 1.0))(declared)
    other = preset(made, "other", "Another.", lr=0.5)
    again = preset(other, "again", "Again.", paper="else", mu=0.0)
    assert other.rule is made.rule
    assert (other.paper, other.drop_in, other.defaults) == ("someone", None, {"lr": 0.5})
    assert (again.paper, again.defaults) == ("else", {"lr": 0.5, "mu": 0.0})


def test_a_rule_may_differ_in_the_composed_step():
    recipe = recipe_of(declared, decoupled_weight_decay=True, weight_decay=0.5)
    values = recipe.resolve({})
    assert (values["decoupled_weight_decay"], values["weight_decay"]) == (True, 0.5)
    assert preset(recipe.preset, "other", "Another.", weight_decay=0.0).defaults == {
        "decoupled_weight_decay": True, "weight_decay": 0.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda p, g, t: (g,), r"\(g, p, states…, t, \*, hyperparameters…\); <lambda> has \['p', 'g', 't'\]"),
        (lambda g, p: (g,), r"has \['g', 'p'\]"),
        (lambda g, p, momentum, t: (g, momentum), "The state 'momentum' needs an annotation such as Zeros"),
        (lambda g, p, t, *, lr=0.1: (g,), "The hyperparameter 'lr' needs a default and an annotation such as Rate"),
    ],
)  # fmt: skip
def test_signatures_that_declare_nothing(function, sentence):
    with pytest.raises(TypeError, match=sentence):
        recipe_of(function)


def test_a_hyperparameter_without_default():
    def r(g, p, t, *, lr: Rate):
        return (lr * g,)

    with pytest.raises(TypeError, match="The hyperparameter 'lr' needs a default"):
        recipe_of(r)


def test_a_state_that_is_not_returned():
    def r(g, p, a: Zeros, b: Zeros, t, *, lr: Rate = 0.1):
        return lr * g, a

    with pytest.raises(TypeError, match=r"r must return the tuple \(update, a, b\), got 2"):
        program_of(r)


def test_an_update_alone():
    def r(g, p, t, *, lr: Rate = 0.1):
        return lr * g

    with pytest.raises(TypeError, match=r"r must return the tuple \(update\), got no tuple"):
        program_of(r)


def test_a_row_state_that_depends_on_elements():
    def r(g, p, size: RowOnes, t, *, lr: Rate = 0.1):
        return lr * g, size * g

    with pytest.raises(TypeError, match="The row state 'size' of r has one value a row and may not depend on elements"):
        program_of(r)


def test_kept_elements():
    def r(g, p, a: Zeros, t, *, lr: Rate = 0.1):
        return lr * g, round_to_default_dtype(a + g)

    with pytest.raises(TypeError, match="round_to_default_dtype takes a row value"):
        program_of(r)


def test_a_branch_on_a_value():
    def r(g, p, t, *, lr: Rate = 0.1):
        return (lr * g if t > 1 else g,)

    with pytest.raises(TypeError, match="may not branch on a value"):
        program_of(r)


@pytest.mark.parametrize("function", [torch.sqrt, lambda x: x.mean(), lambda x: x.add_(1), lambda x: x[0]])
def test_what_only_tensors_have(function):
    def r(g, p, t, *, lr: Rate = 0.1):
        return (lr * function(g),)

    with pytest.raises((TypeError, AttributeError), match="Symbol"):
        program_of(r)


@pytest.mark.parametrize(
    ("annotation", "inside", "outside", "text"),
    [
        (Rate, (0, 1e9), (-1e-9, float("inf"), float("nan")), "[0, inf)"),
        (Decay, (0, 0.999), (1, -0.1), "[0, 1)"),
        (Momentum, (0, 1), (1.1,), "[0, 1]"),
        (OpenFraction, (0.5,), (0, 1), "(0, 1)"),
    ],
)
def test_ranges(annotation, inside, outside, text):
    def r(g, p, t, *, x: annotation = 0.5):
        return (x * g,)

    h = recipe_of(r).hyperparameters["x"]
    assert str(h.range) == text
    assert [h.check("Test", value) for value in inside] == [float(value) for value in inside]
    for value in outside:
        with pytest.raises(InputError, match="The 'x' of Test must be a number in"):
            h.check("Test", value)


def test_numbers_may_be_tensors_of_one_element():
    h = recipe_of(declared).hyperparameters["lr"]
    assert h.check("Test", torch.tensor(0.25)) == 0.25
    with pytest.raises(InputError, match="number"):
        h.check("Test", torch.tensor([0.25, 0.5]))


def test_a_state_may_start_at_a_hyperparameter():
    def r(g, p, total: InitialAccumulator, t, *, lr: Rate = 0.1, initial_accumulator_value: Rate = 2.0):
        return lr * g, total + g

    assert recipe_of(r).rule.states == (State("total", "initial_accumulator_value"),)


def test_states_that_start_at_the_rate_start_at_that_of_the_first_step():
    def r(g, p, size: FirstRate, rate: RowFirstRate, t, *, lr: Rate = 0.1):
        return lr * 0 * g + size * g + rate * g, size, rate * 1

    recipe = recipe_of(r)
    p = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = drop_in(recipe)([p], lr=0.5)
    assert not optimizer.state  # torch's Rprop and ASGD create theirs at the first step, when the rate may be another
    p.grad = torch.ones(2, dtype=torch.float64)
    for rate in (0.25, 0.125):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    assert p.tolist() == [-1.0, -1.0]
    run = begin(recipe, recipe.resolve({"lr": 0.25}), torch.zeros(2))
    for _ in range(2):
        advance(EXECUTIONS["compiled"], [run], [torch.ones(2)])
    assert run.p.tolist() == [-1.0, -1.0]


def test_any_state_name_reaches_the_kernel():
    def r(g, p, k: Zeros, k0: Zeros, x0: Zeros, i: Zeros, zero: Zeros, real: Zeros, sqrt: Zeros, sum: Zeros, t, *,
          lr: Rate = 0.1):  # fmt: skip
        return lr * abs(g), k + g, k0 + g, x0 + g, i + g, zero + g, real + g, sqrt + g, sum + g

    recipe = recipe_of(r)
    run = begin(recipe, recipe.resolve({}), torch.zeros(3))
    advance(EXECUTIONS["compiled"], [run], [torch.tensor([1.0, -2.0, 3.0])])
    assert all(state.tolist() == [1.0, -2.0, 3.0] for state in run.states)


def test_defaults_of_the_composed_step():
    def r(g, p, t, *, lr: Rate = 0.1):
        return (lr * g,)

    assert recipe_of(r, decoupled_weight_decay=True).defaults["decoupled_weight_decay"] is True
    assert recipe_of(r).defaults["decoupled_weight_decay"] is False


def test_a_sum_a_row_is_held_in_float64_by_a_drop_in_that_is_saved_and_loaded():
    def r(g, p, total: RowSum, t, *, lr: Rate = 0.1):
        return lr * g, total + lr

    made = drop_in(recipe_of(r))
    p = torch.zeros(3, requires_grad=True)
    p.grad = torch.ones(3)
    first, second = made([p]), made([p])
    for _ in range(3):
        first.step()
    second.load_state_dict(first.state_dict())
    for optimizer in (first, second):
        total = optimizer.state[p]["total"]
        assert (total.dtype, total.item()) == (torch.float64, 0.1 + 0.1 + 0.1)


def test_a_penalty_is_known_by_its_range():
    def r(g, p, t, *, lr: Rate = 0.1, shrink: Penalty = 0.0, limit: Limit = 0.0):
        return (lr * g,)

    assert [h.name for h in recipe_of(r).rule.hyperparameters.values() if h.is_penalty] == ["shrink"]
