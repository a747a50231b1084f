"""The catalogue: found by name, resolved, refused in sentences."""

import pkgutil

import pytest
import torch

import thalweg.optim
import thalweg.rules.elementwise
from small_rules import recipe_of
from thalweg.errors import InputError
from thalweg.optim.classes import drop_in
from thalweg.optim.interop.signature import HINTS
from thalweg.recipes.catalogue import recipe, recipes
from thalweg.rules.hyperparameters import Rate


def test_every_rule_file_is_found():
    files = {m.name for m in pkgutil.iter_modules(thalweg.rules.elementwise.__path__)}
    assert "adam" in files
    assert files <= set(recipes())
    assert {"adamw", "momentum", "nesterov"} <= set(recipes())
    assert list(recipes()) == sorted(recipes())


@pytest.mark.parametrize("name", recipes())
def test_every_optimizer_is_complete(name):
    r = recipe(name)
    assert r.name == name
    assert r.preset.summary.endswith(".")
    assert r.preset.paper
    assert set(r.preset.defaults) <= set(r.hyperparameters)
    resolved = r.resolve({})
    for h in r.hyperparameters.values():
        assert resolved[h.name] == (resolved[h.initially] if h.initially else r.defaults[h.name])
    low, high = r.rule.rates
    assert 0 < low < high
    assert r.rule.rate in r.hyperparameters


@pytest.mark.parametrize("name", recipes())
def test_every_spelling_names_a_class_and_hyperparameters(name):
    spelling = recipe(name).drop_in
    if spelling is None:
        return
    assert issubclass(getattr(thalweg.optim, spelling.name), torch.optim.Optimizer)
    for argument in spelling.arguments:
        assert argument in {**recipe(name).hyperparameters, **recipe(name).rule.tuple_arguments, **HINTS}
    for members in recipe(name).rule.tuple_arguments.values():
        assert set(members) <= set(recipe(name).rule.hyperparameters)


def test_spellings_are_unique():
    names = [r.drop_in.name for r in recipes().values() if r.drop_in]
    assert len(set(names)) == len(names)
    assert set(names) <= set(dir(thalweg.optim))


def test_names_ignore_case():
    assert recipe("AdamW") is recipe("adamw")


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("adm", "Did you mean adam"),
        ("RMSpro", "Did you mean rmsprop"),
        ("nestrov", "Did you mean nesterov?"),
        ("x", "Known: [a-z]+, "),
    ],
)
def test_unknown_name(name, end):
    with pytest.raises(InputError, match=f"^Unknown optimizer '{name}'. {end}"):
        recipe(name)


def test_betas_stand_for_the_pair():
    values = recipe("adam").resolve({"betas": (0.5, 0.75)})
    assert (values["beta1"], values["beta2"]) == (0.5, 0.75)
    assert recipe("adam").split({"betas": [0.1, 0.2], "lr": 1}) == {"beta1": 0.1, "beta2": 0.2, "lr": 1}


def test_an_argument_may_stand_for_any_hyperparameters():
    def r(g, p, t, *, lr: Rate = 0.1, low: Rate = 0.5, high: Rate = 2.0, nu1: Rate = 0.1, nu2: Rate = 0.2):
        return (lr * low * high * nu1 * nu2 * g,)

    made = recipe_of(r, drop_in="R(lr, limits, nus)", tuple_arguments={"limits": ("low", "high")})
    assert made.rule.tuple_arguments == {"nus": ("nu1", "nu2"), "limits": ("low", "high")}
    values = made.resolve({"limits": (0.25, 4.0), "nus": [0.3, 0.4]})
    assert [values[name] for name in ("low", "high", "nu1", "nu2")] == [0.25, 4.0, 0.3, 0.4]
    with pytest.raises(InputError, match=r"limits must be a tuple of numbers such as \(0.5, 2.0\), got 3"):
        made.resolve({"limits": 3})
    optimizer = drop_in(made)([torch.zeros(1)], limits=(0.25, 4.0))
    assert (optimizer.defaults["limits"], optimizer.defaults["nus"]) == ((0.25, 4.0), (0.1, 0.2))
    with pytest.raises(InputError, match="limits must be 2 numbers, got"):
        drop_in(made)([torch.zeros(1)], limits=(0.25,))


@pytest.mark.parametrize(
    ("betas", "sentence"),
    [
        (0.9, r"betas must be a tuple of numbers such as \(0.9, 0.999\), got 0.9"),
        ((), r"got \(\)"),
        ("ab", "got 'ab'"),
        ((0.9,), r"betas must be 2 numbers, got \(0.9,\)"),
        ((0.9, 0.99, 0.999), r"betas must be 2 numbers, got \(0.9, 0.99, 0.999\)"),
        ((0.9, 1.0), r"The 'beta2' of adam must be a number in \[0, 1\), got 1.0"),
        ((None, 0.9), r"The 'beta1' of adam must be a number in \[0, 1\), got None"),
    ],
)
def test_betas_that_are_no_pair(betas, sentence):
    with pytest.raises(InputError, match=sentence):
        recipe("adam").resolve({"betas": betas})


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("adam", {"epsilon": 1e-8}, "adam has no hyperparameter 'epsilon'; did you mean 'eps'?"),
        ("sgd", {"momentun": 0.9}, "sgd has no hyperparameter 'momentun'; did you mean 'momentum'?"),
        ("sgd", {"betas": (0.9, 0.99)}, "sgd has no hyperparameter 'betas'"),
        ("sgd", {"zzz": 1}, "sgd has no hyperparameter 'zzz'; it has lr, momentum, "),
    ],
)
def test_unknown_hyperparameter(name, given, sentence):
    with pytest.raises(InputError, match=sentence):
        recipe(name).resolve(given)


def test_refusals_name_the_owner():
    with pytest.raises(InputError, match=r"^The 'lr' of Adam must be a number in \[0, inf\), got -1\.$"):
        recipe("adam").resolve({"lr": -1}, "Adam")


def test_the_initial_rate_is_the_rate_unless_given():
    assert recipe("adabound").resolve({"lr": 0.5})["base_lr"] == 0.5
    assert recipe("adabound").resolve({"lr": 0.5, "base_lr": 0.25})["base_lr"] == 0.25


def test_structures_tell_settings_apart_and_values_together():
    sgd = recipe("sgd")

    def structure(**given):
        return sgd.structure(sgd.resolve(given))

    assert structure(lr=0.1) == structure(lr=0.2)
    assert structure(momentum=0.1) == structure(momentum=0.9) != structure()
    assert structure(momentum=0.9, nesterov=True).flags == {"nesterov"}
    absent = structure(weight_decay=0.1).absent
    assert "momentum" in absent
    assert "clip_value" in absent
    assert "weight_decay" not in absent
