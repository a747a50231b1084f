"""The lines that a study prints make the optimizer that it trained: evaluated, and compared step by step."""

from typing import Any

import pytest
import torch
from pasted import built, fitting, made, reference, same

from scope import THOROUGH, sample
from thalweg.errors import InputError
from thalweg.options.declared import CONVENTIONS
from thalweg.recipes.catalogue import Recipe, recipes
from thalweg.studies.calls import TORCH, call_of
from thalweg.studies.contenders import Contender

EVERY = [(name, by) for name, recipe in recipes().items() for by in recipe.conventions if THOROUGH or sample([name])]


def choices(recipe: Recipe) -> list[dict[str, Any]]:
    """Hyperparameters that a study may choose: the rate; others too; those of torch where a convention has others."""
    assert recipe.rate is not None
    usual, own = Recipe(recipe.preset).defaults, recipe.defaults
    as_torch = {name: value for name, value in usual.items() if value != own[name] and value is not None}
    several = {name: 0.75 for name in ("beta1", "beta2", "momentum", "eps") if name in own}
    of_torch = recipe.convention == CONVENTIONS[0]
    varied: list[dict[str, Any]] = [{"clip_global_norm": 0.5}, several] if of_torch or THOROUGH else [as_torch]
    varied += [{}]
    varied += [{name: value} for of in (as_torch, several) for name, value in of.items() if THOROUGH or name == "beta2"]
    return [{recipe.rate: 0.0123, **each} for each in varied]


@pytest.mark.parametrize(("name", "by"), EVERY)
def test_the_lines_make_the_optimizer_that_was_trained(name: str, by: str) -> None:
    contender = Contender(name, convention=by)
    assert isinstance(contender.recipe, Recipe)
    for values in choices(contender.recipe):
        expected = reference(contender.recipe, values)
        assert same(made(contender, values), expected), values
        assert same(built(contender, values), expected), values
        assert not same(expected, [p.detach() for p in fitting(contender.recipe).parameters()])


def numbers(recipe: Recipe) -> list[dict[str, Any]]:
    """What torch's class has too, each set apart, flags turned round."""
    found: list[dict[str, Any]] = [{}]
    for name, value in recipe.defaults.items():
        if name in ("weight_decay", "dampening"):
            found.append({name: 0.03})
        elif isinstance(value, bool):
            found.append({name: not value})
        elif name in ("beta1", "beta2", "momentum", "eps", "rho", "alpha", "lambd", "t0", "lr_decay", "momentum_decay"):
            found.append({name: 0.4})
        elif name in ("initial_accumulator_value", "etaminus"):
            found.append({name: 0.3})
        elif name in ("etaplus", "step_size_max"):
            found.append({name: 1.7})
    return found


OF_TORCH = [
    (name, by) for name, by in EVERY if call_of(Contender(name, convention=by), grouped=False)["torch"] is not None
]


@pytest.mark.parametrize(("name", "by"), OF_TORCH)
def test_where_torch_has_a_class_its_line_takes_the_same_steps(name: str, by: str) -> None:
    """Every hyperparameter that the line may set, by itself and with momentum; what torch has not is not offered."""
    contender, offered = Contender(name, convention=by), 0
    assert isinstance(contender.recipe, Recipe)
    for each in numbers(contender.recipe):
        for more in ({}, {"momentum": 0.9}) if "momentum" in contender.recipe.defaults else ({},):
            values = {"lr": 0.0123, **more, **each}
            try:
                expected = reference(contender.recipe, values)
            except InputError:  # contradictory, as nesterov without momentum
                continue
            try:
                found = made(contender, values, "torch")
            except InputError:
                continue
            offered += 1
            for ours, theirs in zip(expected, found, strict=True):
                assert torch.allclose(ours, theirs, rtol=0, atol=1e-12), values
    assert offered > 1 if by == "torch" else not offered


def _is_torch_s(name: str) -> bool:
    return call_of(Contender(name), grouped=False)["torch"] is not None


def test_torch_s_classes_are_those_of_the_catalogue() -> None:
    found = {recipe.drop_in.name for name, recipe in recipes().items() if recipe.drop_in and _is_torch_s(name)}
    assert found == TORCH
