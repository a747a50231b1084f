"""Keras 3 takes the steps of `convention="keras"`, in every setting, and has its defaults."""

import keras
import pytest
from paths import ROUNDING, distance, of_keras, ours, task

from thalweg.optim.translation import FIXED, NAMES
from thalweg.recipes.catalogue import recipe, recipes

CLASSES = {
    "sgd": "SGD", "adagrad": "Adagrad", "adadelta": "Adadelta", "rmsprop": "RMSprop", "adam": "Adam",
    "adamw": "AdamW", "adamax": "Adamax", "nadam": "Nadam", "lion": "Lion", "ftrl": "Ftrl",
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
    "ftrl": (),
}  # fmt: skip
COMMON = ({}, {"weight_decay": 0.03}, {"clip_value": 0.125})
HAVE = [name for name in CLASSES if name in recipes() and "keras" in recipe(name).conventions]
CASES = [(name, setting) for name in HAVE for setting in (*COMMON, *OWN[name])]


def made(name, setting):
    spelled = {NAMES["keras"].get(key, key): value for key, value in setting.items()}
    return getattr(keras.optimizers, CLASSES[name])(**spelled)


def test_nothing_that_both_have_is_forgotten():
    whole_tensors = {"Adafactor", "Lamb", "Muon", "ScheduleFreeAdamW"}
    wrappers = {"LossScaleOptimizer", "MultiOptimizer", "Optimizer", "OptimizerMap"}
    public = {name for name in dir(keras.optimizers) if name[0].isupper()}
    assert public - whole_tensors - wrappers - set(CLASSES.values()) == set()


@pytest.mark.parametrize(("name", "setting"), CASES, ids=str)
def test_steps(name, setting):
    on = task(recipe(name).under("keras").defaults["lr"])
    assert distance(ours(name, "keras", setting, on), of_keras(made(name, setting), on), on) <= ROUNDING


@pytest.mark.parametrize("name", HAVE)
def test_defaults(name):
    theirs, defaults = made(name, {}).get_config(), recipe(name).under("keras").defaults
    for key, value in defaults.items():
        spelled = NAMES["keras"].get(key, key)
        if spelled in theirs and key not in FIXED["keras"]:
            assert float(theirs[spelled] or 0.0) == pytest.approx(float(value)), key
