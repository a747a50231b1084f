"""Every class takes the steps of its paper, in every convention: those of an oracle that knows nothing of Thalweg."""

import importlib

import pytest
import torch

from optim.trained import assert_same_path, parameters, task, train
from thalweg.optim.classes import drop_ins
from thalweg.testing.settings import Case, oracle_arguments

BY = [(name, by) for name, cls in drop_ins().items() for by in cls.recipe.conventions]


@pytest.mark.parametrize(("name", "convention"), BY)
def test_path(name, convention):
    cls = drop_ins()[name]
    recipe = cls.recipe.under(convention)
    given = task(cls, steps=100)
    parts = parameters(given.start)
    path = train(cls(parts, lr=given.rates[0], convention=convention), parts, given.gradients, given.rates)
    oracle = importlib.import_module(f"oracles.{recipe.rule.name}").trajectory
    arguments = oracle_arguments(Case(recipe, recipe.resolve({}), "defaults"))
    expected = oracle(given.start, given.gradients, given.rates, **arguments)
    assert_same_path(path, torch.tensor(expected), given.start)
