"""Optax takes the steps of `convention="optax"`, in every setting, and has its defaults."""

import inspect

import optax
import pytest
from optax import contrib
from paths import ROUNDING, distance, of_optax, ours, task

from thalweg.optim.translation import NAMES
from thalweg.recipes.catalogue import recipe, recipes

OWN = {
    "sgd": ({"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}),
    "adagrad": ({"initial_accumulator_value": 0.5, "eps": 1e-3},),
    "adadelta": ({"rho": 0.7, "eps": 1e-4},),
    "rmsprop": ({"momentum": 0.9}, {"centered": True}, {"alpha": 0.8, "eps": 1e-4, "momentum": 0.5, "centered": True}),
    "adam": ({"beta1": 0.7, "beta2": 0.98, "eps": 1e-4},),
    "adamw": ({"weight_decay": 0.1},),
    "amsgrad": ({"beta1": 0.7, "beta2": 0.98, "eps": 1e-4},),
    "adamax": ({"beta1": 0.7, "beta2": 0.98, "eps": 1e-4},),
    "nadam": ({"beta1": 0.7, "beta2": 0.98, "eps": 1e-4},),
    "nadamw": ({"weight_decay": 0.1},),
    "radam": ({"beta1": 0.7, "beta2": 0.98, "eps": 1e-4},),
}
HAVE = [name for name in OWN if name in recipes() and "optax" in recipe(name).conventions]
CASES = [(name, setting) for name in HAVE for setting in ({}, *OWN[name])]


def factory(name):
    return getattr(optax, name, None) or getattr(contrib, name)


def spelled(setting):
    return {NAMES["optax"].get(key, key): value for key, value in setting.items()}


@pytest.mark.parametrize(("name", "setting"), CASES, ids=str)
def test_steps(name, setting):
    on = task(recipe(name).under("optax").defaults["lr"])
    assert distance(ours(name, "optax", setting, on), of_optax(factory(name), spelled(setting), on), on) <= ROUNDING


@pytest.mark.parametrize("name", HAVE)
def test_defaults(name):
    theirs = {key: p.default for key, p in inspect.signature(factory(name)).parameters.items()}
    for key, value in spelled(recipe(name).under("optax").defaults).items():
        if key in theirs and key != "learning_rate":  # that one must be given
            assert float(theirs[key] or 0.0) == pytest.approx(float(value)), key
