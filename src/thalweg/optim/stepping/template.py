"""The step by which torch makes a state dict's template: rate 0, gradients of 0, no state yet."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from thalweg.execution import dispatch
from thalweg.execution.data_pointers import has_memory
from thalweg.optim.stepping.reading import plain
from thalweg.recipes.catalogue import Recipe


def is_asked_for(recipe: Recipe, groups: Sequence[Mapping[str, Any]], states: Mapping[Any, Any]) -> bool:
    """Whether torch asks for a state dict's template: by a step with a rate of 0, gradients of 0 and no state yet.

    It is a normal step, but without weight decay that acts at any rate: that would act at each such call.
    """
    if next(iter(states.values()), None) or not all(_rests(recipe, group) for group in groups):
        return False
    if any(states.values()):
        return False
    gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
    return not dispatch.watched() and all(has_memory(g) and not g.any() for g in gradients)


def _rests(recipe: Recipe, group: Mapping[str, Any]) -> bool:
    """Whether the learning rate is 0, as far as known without waiting for a device."""
    rate = group.get(recipe.rate) if recipe.rate else None
    return rate is not None and (not isinstance(rate, Tensor) or rate.is_cpu) and plain(rate) == 0


def undecayed(groups: Iterable[dict[str, Any]]) -> list[Any]:
    """Sets `weight_decay` of all groups to 0; returns what it was."""
    before = [group["weight_decay"] for group in groups]
    for group in groups:
        group["weight_decay"] = 0.0
    return before


def decay_again(groups: Iterable[dict[str, Any]], decays: Iterable[Any]) -> None:
    """Restores `weight_decay` of all groups."""
    for group, decay in zip(groups, decays, strict=True):
        group["weight_decay"] = decay
