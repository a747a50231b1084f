"""Every class takes the steps of its paper, in every convention: those of an oracle that knows nothing of Thalweg."""

import importlib

import pytest
import torch

from optim.trained import assert_same_path, fitted, parameters, split, task, train
from thalweg.optim.classes import drop_ins
from thalweg.testing.settings import Case, oracle_arguments

BY = [(name, by) for name, cls in drop_ins().items() for by in cls.recipe.conventions]


@pytest.mark.parametrize(("name", "convention"), BY)
def test_path(name, convention):
    cls = drop_ins()[name]
    recipe = cls.recipe.under(convention)
    given = task(cls, steps=100)
    parts = parameters(given.start)
    optimizer = cls(fitted(cls, parts), lr=given.rates[0], convention=convention)
    path = train(optimizer, parts, given.gradients, given.rates)
    oracle = importlib.import_module(f"oracles.{recipe.rule.name}").trajectory
    arguments = oracle_arguments(Case(recipe, recipe.resolve({}), "defaults"))
    expected = []
    for start, gradients in zip(split(given.start), split(given.gradients), strict=True):  # norms are of a tensor
        if not recipe.rule.others:
            start, gradients = start.flatten(), gradients.flatten(1)
        elif start.ndim < 2:
            arguments["adamw"] = True
        steps = oracle(start.numpy(), gradients.numpy(), given.rates, **arguments)
        expected.append(torch.tensor(steps).flatten(1))
    assert_same_path(path, torch.cat(expected, dim=1), given.start)
