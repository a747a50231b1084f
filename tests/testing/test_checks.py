"""The shipped checks can fail: a rule that keeps its promises passes all of them, and every fault is caught by name."""

import numpy as np
import pytest
import torch

from scope import conformance_only
from small_rules import recipe_of
from thalweg.numerics import sqrt, where
from thalweg.rules.hyperparameters import Decay, Epsilon, Flag, Hyperparameter, Penalty, Rate
from thalweg.rules.states import RowOnes, Zeros
from thalweg.testing import CHECKS, Case, cases, check_rule
from thalweg.testing import trajectories as tried

CHECK = {check.__name__.removeprefix("check_"): check for check in CHECKS}


def heavy(g, p, buffer: Zeros, t, *, lr: Rate = 1e-2, beta: Decay = 0.9, eps: Epsilon = 1e-8, ahead: Flag = False):
    """Momentum, with a flag."""
    buffer = beta * buffer + g
    return lr * (g + beta * buffer if ahead else buffer), buffer


def oracle(start, gradients, rates, *, beta, eps, ahead, weight_decay, decoupled_weight_decay, maximize):
    p, buffer, history = start, 0.0, []
    for gradient, rate in zip(gradients, rates, strict=True):
        g = -gradient if maximize else gradient
        g = g if decoupled_weight_decay else g + weight_decay * p
        buffer = beta * buffer + g
        shrunk = p * (1 - rate * weight_decay) if decoupled_weight_decay else p
        p = shrunk - rate * (g + beta * buffer if ahead else buffer)
        history.append(p)
    return np.array(history)


def default_case(function, oracle=None) -> Case:
    return cases(recipe_of(function), oracle)[0]


def assert_caught(check, case, sentence):
    with pytest.raises(AssertionError, match=sentence):
        CHECK[check](case)


def test_a_rule_that_keeps_its_promises():
    check_rule(recipe_of(heavy), oracle)


@conformance_only
def test_oracle_checks_are_left_out_where_there_is_none():
    def plain(g, p, t, *, lr: Rate = 1e-2):
        return (lr * g,)

    check_rule(recipe_of(plain))


def test_wrong_coefficient():
    def wrong(g, p, buffer: Zeros, t, *, lr: Rate = 1e-2, beta: Decay = 0.9, eps: Epsilon = 1e-8, ahead: Flag = False):
        buffer = beta * buffer + (1 + 1e-11) * g
        return lr * buffer, buffer

    assert_caught("oracle", default_case(wrong, oracle), r"the eager execution against the oracle: off by \d.*e-1[12]")


def test_state_modified_in_place():
    def greedy(g, p, buffer: Zeros, t, *, lr: Rate = 1e-2, beta: Decay = 0.9):
        buffer *= beta
        return lr * (buffer + g), buffer + g

    assert_caught("pure", default_case(greedy), "modifies its parameter or a state")


def test_gradient_modified_in_place():
    def greedy(g, p, t, *, lr: Rate = 1e-2):
        g *= 2
        return (lr * g,)

    assert_caught("pure", default_case(greedy), "the gradient is modified")


def test_a_rule_that_remembers():
    calls = []

    def forgetless(g, p, t, *, lr: Rate = 1e-2):
        calls.append(1)
        return (lr * len(calls) * g,)

    assert_caught("pure", default_case(forgetless), "the new parameter differs when the rule is called again")


def test_dtype_changed():
    def widening(g, p, t, *, lr: Rate = 1e-2):
        return (lr * where(g > 0, 1.0, -1.0),)

    assert_caught("shapes", default_case(widening), "torch.float64; two numbers in `where`")


def test_nan_without_a_gradient():
    def unguarded(g, p, second: Zeros, t, *, lr: Rate = 1e-2):
        second = second + g * g
        return lr * g / sqrt(second), second

    assert_caught("zero_gradient", default_case(unguarded), "zero gradients give NaN")


def test_movement_without_a_gradient():
    def restless(g, p, t, *, lr: Rate = 1e-2):
        return (lr * (g + 1e-3),)

    assert_caught("zero_gradient", default_case(restless), "zero gradients move it")


def test_movement_that_is_declared_follows_the_oracle():
    def shrinking(g, p, t, *, lr: Rate = 1e-2):
        return (lr * (g + 0.1 * p),)

    def path(start, gradients, rates, *, factor=0.1, **_):
        history = [start]
        for g, rate in zip(gradients, rates, strict=True):
            history.append(history[-1] - rate * (g + factor * history[-1]))
        return np.array(history[1:])

    recipe = recipe_of(shrinking, stationary=False)
    CHECK["zero_gradient"](cases(recipe, path)[0])
    CHECK["zero_gradient"](cases(recipe)[0])  # without an oracle nothing is known but that it stays finite
    wrong = cases(recipe, lambda *args, **given: path(*args, factor=0.2, **given))[0]
    assert_caught("zero_gradient", wrong, "zero gradients move it")
    assert_caught("zero_gradient", default_case(shrinking), "zero gradients move it")


def test_a_rule_that_pulls_its_parameter_back_may_undo_decay():
    def anchored(g, p, start: Zeros, t, *, lr: Rate = 1e-2):
        start = where(t == 1, p, start)
        return 0.5 * (p - start) + lr * g, start

    for case in cases(recipe_of(anchored)):
        CHECK["zero_gradient"](case)


def test_a_rule_that_pulls_its_parameter_elsewhere():
    def leaning(g, p, t, *, lr: Rate = 1e-2):
        return (lr * (g + 1e-3 * p),)

    for case in cases(recipe_of(leaning)):
        if case.label != "coupled":
            assert_caught("zero_gradient", case, "zero gradients move it")


def test_a_penalty_of_the_rules_own_moves_parameters():
    def shrinking(g, p, t, *, lr: Rate = 1e-2, shrink: Penalty = 0.0):
        return (lr * (g if shrink is None else g + shrink * p),)

    for case in cases(recipe_of(shrinking)):
        CHECK["zero_gradient"](case)


def test_nan_under_a_constant_gradient():
    def unclamped(g, p, second: Zeros, first: Zeros, t, *, lr: Rate = 1e-2, rho: Decay = 0.5):
        second, first = rho * second + (1 - rho) * g * g, rho * first + (1 - rho) * g
        return lr * g / (sqrt(second - first * first) + 1e-8), second, first

    assert_caught("constant_gradient", default_case(unclamped), "a constant gradient gives NaN")


def test_a_pass_that_computes_something_else(monkeypatch):
    def damped(structure, elements, values):
        return tried.by_passes(structure, elements, {**values, "lr": values["lr"] * (1 + 1e-11)})

    for name in ("compiled", "reference"):
        with monkeypatch.context() as patch:
            patch.setitem(tried.EXECUTIONS, name, damped)
            assert_caught(
                "compiled_equals_reference", default_case(heavy), f"the {name} execution against the rule itself"
            )


def test_a_sloppy_float32_pass(monkeypatch):
    def sloppy(structure, elements, values):
        rounded = {name: array.astype(np.float16).astype(np.float64) for name, array in values.items()}
        return tried.by_passes(structure, elements, rounded)

    monkeypatch.setitem(tried.EXECUTIONS, "compiled", sloppy)
    assert_caught("float32", default_case(heavy, oracle), "in float32 the compiled pass is")


def test_rows_that_share_hyperparameters(monkeypatch):
    def first_for_all(structure, elements, values):
        return tried.by_passes(structure, elements, {name: np.full_like(x, x[0]) for name, x in values.items()})

    monkeypatch.setitem(tried.EXECUTIONS, "compiled", first_for_all)
    assert_caught("rows", default_case(heavy), "row 1 differs when others are stepped beside it")


def test_state_outside_the_state(monkeypatch):
    seen = {}

    def haunted(structure, elements, values):
        address = elements[0].p.data_ptr()
        seen[address] = seen.get(address, 0) + 1
        return tried.by_reference(structure, elements, {**values, "lr": values["lr"] * seen[address]})

    monkeypatch.setitem(tried.EXECUTIONS, "reference", haunted)
    assert_caught("resume", default_case(heavy), "it goes on differently")


def test_maximize_ignored(monkeypatch):
    def careless(structure, elements, values):
        upward = "maximize" in structure.flags
        return tried.by_reference(structure, elements, {**values, "lr": values["lr"] * (2 if upward else 1)})

    monkeypatch.setitem(tried.EXECUTIONS, "reference", careless)
    assert_caught("maximize", default_case(heavy), "maximize is not the negated gradient")


def test_anything_accepted(monkeypatch):
    monkeypatch.setattr(Hyperparameter, "check", lambda self, owner, value: value)
    assert_caught("refusals", default_case(heavy), "lr=nan is accepted")


@conformance_only
def test_row_state_is_part_of_a_run():
    def shrinking(g, p, product: RowOnes, t, *, lr: Rate = 1e-2, beta: Decay = 0.9):
        product = product * beta
        return lr * product * g, product

    case = default_case(shrinking)
    run = tried.begin(case.recipe, case.values, torch.zeros(3))
    tried.advance(tried.EXECUTIONS["compiled"], [run], [torch.ones(3)])
    assert run.row_states == {"product": 0.9}
    check_rule(case.recipe)
