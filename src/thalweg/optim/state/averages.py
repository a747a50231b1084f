"""Swapping of trained and averaged weights."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.optim.interop.signature import class_name, hyperparameters
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.compose import evaluated
from thalweg.recipes.options import EMA


@contextmanager
def swapped(recipe: Recipe, groups: Iterable[Mapping[str, Any]], all_states: Mapping[Any, Any]) -> Iterator[None]:
    """Swaps averaged weights into the parameters, and back on exit. Raises `InputError` where there are no averages.

    Values change in place: tensors and storages stay. A parameter that was not stepped yet is its own average.
    """
    averages = dict(pair for group in groups for pair in _averages(recipe, group, all_states))
    if not averages:
        raise InputError(f"{class_name(recipe)} keeps no average yet; give ema_decay, such as 0.999, and take a step.")
    trained = {p: p.detach().clone(memory_format=torch.preserve_format) for p in averages}
    try:
        _put(averages)
        yield
    finally:
        _put(trained)


@torch.no_grad()
def _averages(recipe: Recipe, group: Mapping[str, Any], all_states: Mapping[Any, Any]) -> list[tuple[Tensor, Tensor]]:
    """The parameters of a group that have been stepped, each with its averaged weights."""
    values = recipe.resolve(hyperparameters(recipe, group))
    structure = recipe.structure(values)
    if not structure.averages:
        return []
    kept = EMA.name if structure.has("ema_decay") else recipe.rule.states[0].name
    stepped = [p for p in group["params"] if kept in all_states.get(p, {})]
    return [(p, evaluated(structure, p, all_states[p], values)) for p in stepped]


@torch.no_grad()
def _put(values: Mapping[Tensor, Tensor]) -> None:
    for p, value in values.items():
        p.copy_(value)
