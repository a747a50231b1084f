"""Translated hyperparameters take the very same steps; where none do, the reason is told."""

import numpy as np
import pytest

from thalweg import InputError
from thalweg.optim import translate
from thalweg.optim.interop.translation import names, repeated
from thalweg.recipes.catalogue import recipe
from thalweg.testing.trajectories import EXECUTIONS, Problem, problem, trajectory

EXACT = [
    ("sgd", {"momentum": 0.9, "nesterov": True}, "keras", "torch"),
    ("sgd", {"lr": 0.1, "momentum": 0.9}, "torch", "paper"),
    ("momentum", {}, "keras", "optax"),
    ("adagrad", {"learning_rate": 0.01, "epsilon": 1e-3}, "keras", "torch"),
    ("adagrad", {}, "keras", "optax"),
    ("adagrad", {"eps": 0.0, "initial_accumulator_value": 0.5}, "torch", "keras"),
    ("rmsprop", {"rho": 0.8, "momentum": 0.5, "centered": True}, "keras", "optax"),
    ("rmsprop", {"epsilon": 0.0, "momentum": 0.5}, "keras", "torch"),
    ("adadelta", {"learning_rate": 1.0}, "keras", "torch"),
    ("adam", {"b1": 0.8, "eps": 1e-4}, "optax", "torch"),
    ("adam", {"epsilon": 0.0, "amsgrad": True, "weight_decay": 0.1}, "keras", "torch"),
    ("adamw", {"weight_decay": 0.1}, "optax", "torch"),
    ("adamax", {"epsilon": 0.0}, "keras", "torch"),
    ("nadam", {"beta_1": 0.8}, "keras", "torch"),
    ("nadam", {}, "optax", "torch"),
    ("adabound", {"final_lr": 0.05}, "keras", "torch"),
    ("lion", {"learning_rate": 0.01, "beta_2": 0.9}, "keras", "optax"),
    ("ftrl", {"l1_regularization_strength": 0.1, "l2_regularization_strength": 0.2, "beta": 0.3}, "keras", "torch"),
    ("ftrl", {"l2": 0.2, "decoupled_weight_decay": True}, "torch", "keras"),
    ("ademamix", {"b3": 0.99, "alpha": 3.0}, "optax", "torch"),
    ("signum", {"beta": 0.7}, "optax", "torch"),
    ("yogi", {"initial_accumulator_value": 0.0}, "torch", "optax"),
    ("madgrad", {"eps": 0.0}, "optax", "torch"),
    ("adabelief", {"eps": 1e-8, "eps_root": 1e-8}, "optax", "torch"),
]


def steps(name, values, convention, task):
    """The path under `convention` of the hyperparameters in its own spelling."""
    back = translate(name, values, convention, convention)
    by = recipe(name).under(convention)
    ours = {theirs: key for key, theirs in names(by).items()}
    given = by.resolve({ours.get(key, key): value for key, value in back.items() if key not in repeated(by)})
    rate = Problem(task.start, task.gradients, np.full(len(task.rates), given["lr"]))
    return trajectory(EXECUTIONS["compiled"], by, given, rate)


@pytest.mark.parametrize(("name", "values", "source", "target"), EXACT)
def test_the_same_steps(name, values, source, target):
    task = problem(1.0, steps=100)
    after = translate(name, values, source, target, constant_rate=True)
    before = steps(name, values, source, task)
    np.testing.assert_allclose(steps(name, after, target, task), before, rtol=1e-12, atol=1e-12 * np.abs(before).max())


@pytest.mark.parametrize(
    ("name", "values", "source", "target", "reason"),
    [
        ("sgd", {"momentum": 0.9}, "keras", "torch", "inside of its velocity"),
        ("adam", {}, "keras", "torch", "Keras adds ε before the bias correction"),
        ("amsgrad", {}, "optax", "torch", "largest second moment before and after its correction"),
        ("amsgrad", {"eps": 0.0}, "paper", "torch", "or correct none"),
        ("rmsprop", {}, "torch", "keras", "ε stands beside the root"),
        ("adagrad", {}, "torch", "optax", "ε stands beside the root"),
        ("adamax", {}, "keras", "torch", "inside of the maximum"),
        ("nadam", {}, "torch", "paper", "their formulas differ"),
        ("nadam", {}, "torch", "keras", "keras has nadam with momentum_decay=1.0 only, got 0.004"),
        ("adamw", {"maximize": True}, "torch", "optax", "maximize=False only"),
        ("sgd", {"weight_decay": 0.1}, "torch", "keras", "decoupled_weight_decay=True only, got False"),
        ("yogi", {}, "torch", "optax", "starts the first moment at that value"),
        ("madgrad", {}, "torch", "optax", "to the learning rate, too"),
        ("ademamix", {"t_alpha": 10.0}, "torch", "optax", "t_alpha=0.0 only, got 10"),
        ("schedule_free_adamw", {"weight_decay": 0.1}, "torch", "optax", "their formulas differ"),
        ("schedule_free_adamw", {"decay": 0.1}, "optax", "keras", "their formulas differ"),
        (
            "adabelief",
            {"eps": 1e-8},
            "optax",
            "torch",
            "one value for optax's eps and eps_root, got 1e-08 and 1e-16; give",
        ),
        ("adan", {}, "torch", "optax", "adan has no convention 'optax'"),
        ("radam", {}, "torch", "keras", "radam has no convention 'keras'"),
        ("adam", {"beta_3": 0.1}, "keras", "torch", "no hyperparameter 'beta_3'"),
    ],
)
def test_reasons(name, values, source, target, reason):
    with pytest.raises(InputError, match=reason):
        translate(name, values, source, target)


def test_spellings():
    assert translate("adam", {"epsilon": 0.0}, "keras", "torch")["betas"] == (0.9, 0.999)
    assert translate("adadelta", {}, "torch", "keras")["learning_rate"] == 1.0
    assert set(translate("rmsprop", {}, "optax", "keras")) == {
        "learning_rate", "rho", "epsilon", "momentum", "centered", "clipvalue", "weight_decay"
    }  # fmt: skip
    assert translate("adabelief", {"eps": 1e-8}, "torch", "optax")["eps_root"] == 1e-8
    assert translate("adopt", {"use_clipping": False}, "optax", "torch")["clipped"] is False
    assert translate("schedule_free_adamw", {"weight_decay": 0.1}, "optax", "optax")["weight_decay"] == 0.1
    assert "base_lr" not in translate("adabound", {}, "keras", "torch")
