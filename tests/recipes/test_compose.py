"""The order of operations of one step, by hand, from the sign of `maximize` to the mask."""

import pytest
import torch

from small_rules import recipe_of
from thalweg.recipes.compose import step
from thalweg.rules.hyperparameters import Rate
from thalweg.rules.states import Zeros
from thalweg.testing.trajectories import EXECUTIONS, advance, begin

G, P, LR, DECAY = 3.0, 5.0, 0.5, 0.25  # every result below is exact in binary


def witness(g, p, seen_g: Zeros, seen_p: Zeros, t, *, lr: Rate = LR):
    """Descends, and keeps what it was given."""
    return lr * g, g + 0 * seen_g, p + 0 * seen_p


CASES = [
    ({}, G, P - LR * G),
    ({"maximize": True}, -G, P + LR * G),
    ({"weight_decay": DECAY}, G + DECAY * P, P - LR * (G + DECAY * P)),
    ({"weight_decay": DECAY, "maximize": True}, -G + DECAY * P, P - LR * (-G + DECAY * P)),
    ({"weight_decay": DECAY, "decoupled_weight_decay": True}, G, P * (1 - LR * DECAY) - LR * G),
    (
        {"weight_decay": DECAY, "decoupled_weight_decay": True, "maximize": True},
        -G,
        P * (1 - LR * DECAY) + LR * G,
    ),
    ({"decoupled_weight_decay": True}, G, P - LR * G),
    ({"clip_value": 2.0, "weight_decay": DECAY}, 2 + DECAY * P, P - LR * (2 + DECAY * P)),
    ({"clip_value": 2.0, "maximize": True}, -2.0, P + LR * 2),
    ({"weight_decay": DECAY, "independent_weight_decay": True}, G, P * (1 - DECAY) - LR * G),
    (
        {"weight_decay": DECAY, "independent_weight_decay": True, "decoupled_weight_decay": True},
        G,
        P * (1 - DECAY) - LR * G,
    ),
    ({"cautious": True}, G, P - LR * G),
    ({"cautious": True, "weight_decay": DECAY}, G + DECAY * P, P - LR * (G + DECAY * P)),
    ({"lookahead_steps": 1}, G, P - LR * G / 2),
    ({"lookahead_steps": 2}, G, P - LR * G),
]


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize(("given", "gradient", "expected"), CASES)
def test_order(given, gradient, expected, execution):
    recipe = recipe_of(witness)
    run = begin(recipe, recipe.resolve(given), torch.tensor([P]))
    advance(EXECUTIONS[execution], [run], [torch.tensor([G])])
    assert run.p.item() == expected
    beside = given.get("decoupled_weight_decay") or given.get("independent_weight_decay")
    held = (
        expected + LR * gradient if beside else P
    )  # the rule sees the gradient with L2, or the p that decay has shrunk
    assert [s.item() for s in run.states[:2]] == [gradient, held]


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_the_mask_comes_last(execution):
    """Decay would move a parameter that was masked before it; the update, one that was masked before that."""
    recipe = recipe_of(witness)
    run = begin(recipe, recipe.resolve({"masked": True, "weight_decay": DECAY}), torch.tensor([P, P]))
    run.states[-1].copy_(torch.tensor([0.0, 1.0]))
    advance(EXECUTIONS[execution], [run], [torch.tensor([G, G])])
    assert run.p.tolist() == [0.0, P - LR * (G + DECAY * P)]
    assert run.states[-1].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_averages_come_after_the_update_and_are_masked(execution):
    """The moving average is of what lookahead leaves; where the mask is 0, all that stands for weights is 0."""
    recipe = recipe_of(witness)
    given = {"masked": True, "lookahead_steps": 1, "lookahead_alpha": 0.25, "ema_decay": 0.5}
    run = begin(recipe, recipe.resolve(given), torch.tensor([P, P]))
    run.states[-1].copy_(torch.tensor([0.0, 1.0]))
    advance(EXECUTIONS[execution], [run], [torch.tensor([G, G])])
    slow = P - 0.25 * LR * G
    assert run.p.tolist() == [0.0, slow]
    assert [s.tolist() for s in run.states[-3:]] == [[0.0, slow], [0.0, (P + slow) / 2], [0.0, 1.0]]


def test_numbers_are_steps_too():
    recipe = recipe_of(witness)
    values = recipe.resolve({"weight_decay": DECAY})
    after = step(recipe.structure(values), G, P, {"seen_g": 0.0, "seen_p": 0.0}, 1.0, values)
    assert after == (P - LR * (G + DECAY * P), {"seen_g": G + DECAY * P, "seen_p": P})


def decoupled(recipe):
    run = begin(recipe, recipe.resolve({"weight_decay": DECAY, "decoupled_weight_decay": True}), torch.tensor([P]))
    advance(EXECUTIONS["compiled"], [run], [torch.zeros(1)])
    return run.p.item()


def test_decoupled_decay_goes_with_the_rate_that_the_rule_names():
    def r(g, p, t, *, length: Rate = 0.125):
        return (length * g,)

    assert decoupled(recipe_of(r, rate="length")) == P * (1 - 0.125 * DECAY)


def test_decoupled_decay_of_a_rule_without_rate():
    def r(g, p, t):
        return (0.125 * g,)

    assert decoupled(recipe_of(r, rate=None)) == P * (1 - DECAY)
