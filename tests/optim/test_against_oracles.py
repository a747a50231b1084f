"""Every class takes the steps of its paper, in every convention: those of an oracle that knows nothing of Thalweg."""

import importlib

import numpy as np
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
    ends = np.cumsum([p.numel() for p in parts])[:-1]  # each by itself: the norms of some are of a tensor
    each = zip(np.split(given.start, ends), np.split(given.gradients, ends, axis=1), strict=True)
    expected = [oracle(start, gradients, given.rates, **arguments) for start, gradients in each]
    assert_same_path(path, torch.tensor(np.concatenate(expected, axis=1)), given.start)
