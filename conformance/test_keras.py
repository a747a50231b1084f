"""Keras 3 takes the steps of `convention="keras"`, in every setting, and has its defaults."""

import keras
import pytest
from paths import DIFFERENT, ROUNDING, distance, of_keras, ours, task

from thalweg.optim.interop.translation import FIXED, names
from thalweg.recipes.catalogue import recipe, recipes

CLASSES = {
    "sgd": "SGD", "adagrad": "Adagrad", "adadelta": "Adadelta", "rmsprop": "RMSprop", "adam": "Adam",
    "adamw": "AdamW", "adamax": "Adamax", "nadam": "Nadam", "lion": "Lion", "ftrl": "Ftrl",
    "schedule_free_adamw": "ScheduleFreeAdamW", "lamb": "Lamb",
}  # fmt: skip
"""Our name → Keras's, for each that both have."""

OWN = {
    "sgd": ({"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}),
    "adagrad": ({"initial_accumulator_value": 0.5, "eps": 1e-3},),
    "adadelta": ({"rho": 0.7, "eps": 1e-4},),
    "rmsprop": ({"momentum": 0.9}, {"centered": True}, {"alpha": 0.8, "eps": 1e-4, "momentum": 0.5, "centered": True}),
    "adam": ({"amsgrad": True}, {"beta1": 0.7, "beta2": 0.98, "eps": 1e-4}),
    "adamw": ({"weight_decay": 0.1, "amsgrad": True},),
    "adamax": ({"beta1": 0.7, "beta2": 0.98, "eps": 1e-4},),
    "nadam": ({"beta1": 0.7, "beta2": 0.98, "eps": 1e-4},),
    "lion": ({"beta1": 0.7, "beta2": 0.98},),
    "ftrl": (
        {"initial_accumulator_value": 0.5, "l1": 0.01, "l2": 0.02, "beta": 0.5},
        {"weight_decay": 0.1, "l1": 10.0, "l2": 3.0, "lr": 1.0},
    ),
    "schedule_free_adamw": ({"beta1": 0.7, "beta2": 0.98, "eps": 1e-4},),
    "lamb": ({"beta1": 0.7, "beta2": 0.98, "eps": 1e-4, "weight_decay": 0.1},),
}  # fmt: skip
PRESETS = {"amsgrad", "momentum", "nesterov"}
"""Of those, and compared as their settings."""

COMMON = ({}, {"weight_decay": 0.03}, {"clip_value": 0.125})
HAVE = [name for name in CLASSES if name in recipes() and "keras" in recipe(name).conventions]
EXPECTED_DIFFERENT = {
    ("schedule_free_adamw", "weight_decay"): "its z starts as the parameter before the decay of the first step",
}
"""Optimizer and the hyperparameter that parts the two → why."""

CASES = [
    (name, setting)
    for name in HAVE
    for setting in (*COMMON, *OWN[name])
    if not any((name, key) in EXPECTED_DIFFERENT for key in setting)
]


def made(name, setting):
    theirs = names(recipe(name).under("keras"))
    spelled = {theirs.get(key, key): value for key, value in setting.items()}
    return getattr(keras.optimizers, CLASSES[name])(**spelled)


def test_nothing_that_both_have_is_forgotten():
    whole_tensors = {"Adafactor", "Muon"}
    wrappers = {"LossScaleOptimizer", "MultiOptimizer", "Optimizer", "OptimizerMap"}
    third_party = {"adabound", "amsbound"}  # of keras-adabound
    public = {name for name in dir(keras.optimizers) if name[0].isupper()}
    assert public - whole_tensors - wrappers - set(CLASSES.values()) == set()
    assert set(CLASSES) == set(HAVE)
    claimed = {name for name, by in recipes().items() if "keras" in by.conventions}
    assert claimed - third_party - set(CLASSES) - PRESETS == set()


@pytest.mark.parametrize(("name", "setting"), CASES, ids=str)
def test_steps(name, setting):
    on = task(setting.get("lr", recipe(name).under("keras").defaults["lr"]))
    assert distance(ours(name, "keras", setting, on), of_keras(made(name, setting), on), on) <= ROUNDING


@pytest.mark.parametrize(("name", "key"), EXPECTED_DIFFERENT)
def test_what_differs_still_does(name, key):
    on, setting = task(recipe(name).under("keras").defaults["lr"]), {key: 0.03}
    assert distance(ours(name, "keras", setting, on), of_keras(made(name, setting), on), on) > DIFFERENT


@pytest.mark.parametrize("name", HAVE)
def test_defaults(name):
    theirs, by = made(name, {}).get_config(), recipe(name).under("keras")
    for key, value in by.defaults.items():
        spelled = names(by).get(key, key)
        if spelled in theirs and key not in FIXED["keras"]:
            assert float(theirs[spelled] or 0.0) == pytest.approx(float(value)), key
