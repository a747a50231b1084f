"""The step by which torch makes a state dict's template: rate 0, gradients of 0, no state yet."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor

from thalweg.execution import dispatch
from thalweg.execution.data_pointers import has_memory
from thalweg.optim.stepping.reading import plain
from thalweg.recipes.catalogue import Recipe

DECAYED = nullcontext()
"""In place of `undecayed_groups`, for a step as usual."""


def is_asked_for(recipe: Recipe, groups: Sequence[Mapping[str, Any]], states: Mapping[Any, Any]) -> bool:
    """Whether torch asks for a state dict's template: by a step with a rate of 0, gradients of 0 and no state yet.

    It is a normal step, but without weight decay that acts at any rate: that would act at each such call.
    """
    if next(iter(states.values()), None):
        return False
    signs = any(s.initial == recipe.rate and not s.per_row for s in recipe.rule.states)  # own step sizes
    decayed = any(g["weight_decay"] and (signs or g["independent_weight_decay"]) for g in groups)
    if not decayed or any(states.values()) or not all(_rests(recipe, group) for group in groups):
        return False
    gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
    return not dispatch.watched() and all(has_memory(g) and not g.any() for g in gradients)


def _rests(recipe: Recipe, group: Mapping[str, Any]) -> bool:
    """Whether the learning rate is 0, as far as known without waiting for a device."""
    rate = group.get(recipe.rate) if recipe.rate else None
    return rate is not None and (not isinstance(rate, Tensor) or rate.is_cpu) and plain(rate) == 0


@contextmanager
def undecayed_groups(groups: Iterable[dict[str, Any]]) -> Iterator[None]:
    """Sets `weight_decay` of all groups to 0, and restores it on exit."""
    before = [(group, group["weight_decay"]) for group in groups]
    try:
        for group, _ in before:
            group["weight_decay"] = 0.0
        yield
    finally:
        for group, decay in before:
            group["weight_decay"] = decay
