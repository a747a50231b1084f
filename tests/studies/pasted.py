"""What a study prints to paste, made and stepped beside what it trained."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import thalweg
from records_fixture import RUN, STUDY
from thalweg.analysis.leaderboard import leaderboard
from thalweg.api.best import Best, best_of
from thalweg.api.result import Result
from thalweg.recipes.catalogue import Recipe, recipes
from thalweg.studies.calls import call_of
from thalweg.studies.contenders import Contender

STEPS = 3


def model(*, bias: bool = True) -> nn.Module:
    """Float64, the same every time. bias: whether it has vectors beside matrices."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6, bias), nn.Tanh(), nn.Linear(6, 3, bias)).double()


def fitting(recipe: Any) -> nn.Module:
    """A model for a recipe, of matrices only where it steps no others."""
    return model(bias=not (isinstance(recipe, Recipe) and recipe.rule.others))


def stepped(optimizer: torch.optim.Optimizer, of: nn.Module, *, scheduler: Any = None) -> list[Tensor]:
    """The parameters after steps with gradients that do not depend on them."""
    random = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        for p in of.parameters():
            p.grad = torch.randn(p.shape, generator=random, dtype=p.dtype)
        optimizer.step(lambda: torch.zeros(()))
        if scheduler is not None:
            scheduler.step()
    return [p.detach().clone() for p in of.parameters()]


def best(contender: Contender, values: Mapping[str, Any], *, grouped: bool = False) -> Best:
    """The answer of a study of that contender as a store returns it, which chose these values."""
    label, call = contender.label, json.loads(json.dumps(call_of(contender, grouped=grouped)))
    record = replace(STUDY, contenders=(label,), calls={label: call}, factors={label: contender.factors})
    rate = contender.recipe.rate
    run = replace(RUN, contender=label, factors=contender.factors, hyperparameters=dict(values), rate=rate)
    runs = [replace(run, seed=seed) for seed in range(3)]
    found = best_of(Result(record, runs, leaderboard(record, runs), ""), never)
    assert found is not None
    return found


def never(*_: Any) -> Any:
    raise AssertionError("the problem is not looked for")


def evaluated(text: str, **names: Any) -> Any:
    return eval(text, {"thalweg": thalweg, "torch": torch, **names})


def made(contender: Contender, values: Mapping[str, Any], library: str = "thalweg") -> list[Tensor]:
    """Parameters after the steps of what the lines make."""
    own = fitting(contender.recipe)
    return stepped(evaluated(best(contender, values).code(library), model=own), own)


def built(contender: Contender, values: Mapping[str, Any]) -> list[Tensor]:
    own = fitting(contender.recipe)
    return stepped(best(contender, values).build(own.parameters()), own)


def class_of(recipe: Recipe) -> Any:
    """The class that has a recipe's rule; its own where it has one."""
    if recipe.drop_in is not None:
        return getattr(thalweg.optim, recipe.drop_in.name)
    owner = recipes()[recipe.rule.name].drop_in
    assert owner is not None
    return getattr(thalweg.optim, owner.name)


def reference(recipe: Recipe, values: Mapping[str, Any]) -> list[Tensor]:
    """Every hyperparameter given by name, defaults too, so that nothing hangs on what a call may leave out."""
    given = dict(recipe.resolve(values))
    for name, members in recipe.rule.tuple_arguments.items():
        given[name] = tuple(given.pop(member) for member in members)
    given = {key: value for key, value in given.items() if key != "base_lr"}  # follows lr; no argument
    own = fitting(recipe)
    return stepped(class_of(recipe)(own.parameters(), **given, convention=recipe.convention), own)


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
