"""Optax takes the steps of `convention="optax"`, in every setting, and has its defaults."""

import inspect

import numpy as np
import optax
import pytest
from optax import contrib
from paths import DIFFERENT, ROUNDING, distance, of_optax, ours, steady, task

from thalweg.optim.interop.translation import names, repeated
from thalweg.recipes.catalogue import recipe, recipes

MOMENTS = {"beta1": 0.7, "beta2": 0.98, "eps": 1e-4}
OWN = {
    "sgd": ({"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}),
    "adagrad": ({"initial_accumulator_value": 0.5, "eps": 1e-3},),
    "adadelta": ({"rho": 0.7, "eps": 1e-4},),
    "rmsprop": ({"momentum": 0.9}, {"centered": True}, {"alpha": 0.8, "eps": 1e-4, "momentum": 0.5, "centered": True}),
    "adam": (MOMENTS,),
    "adamw": ({"weight_decay": 0.1},),
    "amsgrad": (MOMENTS,),
    "adamax": (MOMENTS,),
    "nadam": (MOMENTS,),
    "nadamw": ({"weight_decay": 0.1},),
    "radam": (MOMENTS,),
    "lion": ({"beta1": 0.7, "beta2": 0.98, "weight_decay": 0.1},),
    "yogi": (MOMENTS,),
    "adabelief": (MOMENTS,),
    "ademamix": (
        {**MOMENTS, "beta3": 0.999, "alpha": 3.0, "weight_decay": 0.1},
        {"t_alpha": 200.0, "t_beta3": 250.0},
    ),
    "adopt": ({**MOMENTS, "clipped": False}, {**MOMENTS, "clipped": True}),
    "madgrad": ({"momentum": 0.7, "eps": 1e-4, "weight_decay": 0.1},),
    "signsgd": (),
    "signum": ({"momentum": 0.7},),
    "schedule_free_sgd": ({"momentum": 0.7, "weight_decay": 0.1},),
    "schedule_free_adamw": ({**MOMENTS, "decay": 0.1},),
    "lars": (
        {"momentum": 0.7, "weight_decay": 0.1, "nesterov": True},
        {"trust_coefficient": 0.1, "eps": 1e-3, "momentum": 0.0},
    ),
    "lamb": ({**MOMENTS, "weight_decay": 0.1},),
}
"""Each that both have → settings beside the defaults which, together, vary every hyperparameter."""

PRESETS = {"momentum", "nesterov"}
"""Of sgd, and compared as its settings."""

CALLED = {"signsgd": "sign_sgd"}
CONSTANT = {"schedule_free_sgd", "schedule_free_adamw"}
"""The averages of these take the rate of a schedule one step early in Optax: only a constant rate compares."""

WITHIN = {"madgrad": 2e-7}
"""Optax takes √t of an integer in float32."""

EXPECTED_DIFFERENT = {
    "adan": "its third moment and its step weigh the change of the gradient by 1 - β2, .08, where the authors have β2",
    "rprop": "what it returns are the updates of the step before, and nothing where the sign has just changed",
}
"""Those that compute something else than paper and authors, so that our formula is not Optax's → what."""

EXEMPT = {
    **dict.fromkeys(("adafactor", "fromage", "galore", "muon", "novograd", "sm3"), "whole tensors"),
    **dict.fromkeys(
        ("cocob", "dadapt_adamw", "dog", "dowg", "momo", "momo_adam", "prodigy"), "estimates the rate of all tensors"
    ),
    **dict.fromkeys(("lbfgs", "polyak_sgd", "sophia"), "reads losses or curvatures beside the gradient"),
    **dict.fromkeys(("dpsgd", "noisy_sgd"), "adds noise"),
    **dict.fromkeys(
        ("acprop", "optimistic_adam", "optimistic_adam_v2", "optimistic_gradient_descent", "simplified_ademamix"),
        "not in the catalogue",
    ),
    "adamaxw": "adamax with decoupled_weight_decay=True (see below)",
    "schedule_free": "a wrapper",
}  # fmt: skip
"""What else Optax has → why it is not compared."""

HAVE = [name for name in OWN if name in recipes() and "optax" in recipe(name).conventions]
CASES = [(name, setting) for name in HAVE for setting in ({}, *OWN[name])]


def factory(name):
    name = CALLED.get(name, name)
    return getattr(optax, name, None) or getattr(contrib, name)


def spelled(name, setting):
    theirs = names(recipe(name).under("optax"))
    given = {theirs.get(key, key): value for key, value in setting.items()}
    given |= {further: setting[key] for further, key in repeated(recipe(name).under("optax")).items() if key in setting}
    if name == "ademamix" and "t_alpha" in given:
        given = warmups(**given)
    return given


def warmups(t_alpha, t_beta3):
    """The paper's, as schedules of Optax, which counts from 0."""
    import jax.numpy as jnp

    def beta3(count):
        share = jnp.minimum((count + 1) / t_beta3, 1.0)
        return jnp.exp(1 / ((1 - share) / np.log(0.9) + share / np.log(0.9999)))

    return {"alpha": lambda count: 5.0 * jnp.minimum((count + 1) / t_alpha, 1.0), "b3": beta3}


def test_nothing_that_both_have_is_forgotten():
    public = {
        name
        for module in (optax, contrib)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith(("_", "scale_by", "optimistic_adam_"))
        if {"learning_rate", "max_learning_rate"} & set(inspect.signature(value).parameters)
    }
    covered = {CALLED.get(name, name) for name in (*OWN, *EXPECTED_DIFFERENT)}
    assert public - covered - set(EXEMPT) == set()
    assert set(OWN) == set(HAVE)
    claimed = {name for name, by in recipes().items() if "optax" in by.conventions}
    assert claimed - set(OWN) - PRESETS == set()


@pytest.mark.parametrize(("name", "setting"), CASES, ids=str)
def test_steps(name, setting):
    on = (steady if name in CONSTANT else task)(recipe(name).under("optax").defaults["lr"])
    given = spelled(name, setting)
    expected = of_optax(factory(name), given, on, constant=name in CONSTANT)
    assert distance(ours(name, "optax", setting, on), expected, on) <= WITHIN.get(name, ROUNDING)


def test_adamax_with_decoupled_decay_is_adamaxw():
    on, decay = task(1e-3), {"weight_decay": 0.1}
    actual = ours("adamax", "optax", {**decay, "decoupled_weight_decay": True}, on)
    assert distance(actual, of_optax(optax.adamaxw, decay, on), on) <= ROUNDING


@pytest.mark.parametrize("name", HAVE)
def test_defaults(name):
    theirs = {key: p.default for key, p in inspect.signature(factory(name)).parameters.items()}
    by = recipe(name).under("optax")
    shadowed = set(names(by).values())  # our weight_decay, where Optax calls another one so
    for key, value in by.defaults.items():
        spelling = names(by).get(key, key)
        if spelling in theirs and spelling != "learning_rate" and not (key in shadowed and key not in names(by)):
            assert float(theirs[spelling] or 0.0) == pytest.approx(float(value)), key


def test_adan_differs_by_that_weight_alone():
    on = task(1e-3)
    for beta2, expect_same in ((0.5, True), (0.92, False)):  # at ½, 1 - β2 is β2
        given = {"beta1": 0.9, "beta2": beta2, "beta3": 0.98, "eps": 1e-4}
        expected = of_optax(optax.adan, {**{f"b{key[-1]}": given[key] for key in ("beta1", "beta2", "beta3")},
                                         "eps": 1e-4, "eps_root": 0.0}, on)  # fmt: skip
        apart = distance(ours("adan", "torch", given, on), expected, on)
        assert apart <= ROUNDING if expect_same else apart > DIFFERENT


def test_rprop_differs_by_that_step_alone():
    on = steady(1e-2)
    actual = ours("rprop", "torch", {}, on)
    expected = of_optax(optax.rprop, {}, on, constant=True)
    assert distance(actual, expected, on) > DIFFERENT
    moved, theirs = (np.diff(path, axis=0, prepend=on.start[None]) for path in (actual, expected))
    assert not theirs[0].any()
    rests = np.isclose(theirs[1:], 0.0, atol=1e-12)
    np.testing.assert_allclose(theirs[1:], np.where(rests, 0.0, moved[:-1]), atol=1e-12)
    assert not rests.all()
