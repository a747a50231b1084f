"""The step by which torch makes a state dict's template: rate 0, gradients of 0, no state yet."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from thalweg.optim.stepping.reading import plain
from thalweg.recipes.catalogue import Recipe

MAKER = "_init_optim_state"
"""torch's function that takes the step, in `torch.distributed.checkpoint.state_dict`, up to torch 2.13 at least."""


def is_asked_for(recipe: Recipe, groups: Sequence[Mapping[str, Any]], states: Mapping[Any, Any]) -> bool:
    """Whether torch asks for a state dict's template, by a step within `MAKER` with a rate of 0 and no state yet.

    It is a normal step, but without weight decay that acts at any rate, which would act at each such call, and without
    an advance of schedules. A first step of a user's, too, may have a rate of 0 and gradients of 0: only the caller
    tells them apart, and is looked for at such a step alone.
    """
    if next(iter(states.values()), None) or not all(_may_rest(recipe, group) for group in groups):
        return False
    return not any(states.values()) and _is_called_by(MAKER)


def _may_rest(recipe: Recipe, group: Mapping[str, Any]) -> bool:
    """Whether the learning rate is 0, or lies on a device, where it is not waited for."""
    rate = group.get(recipe.rate) if recipe.rate else None
    return rate is not None and ((isinstance(rate, Tensor) and not rate.is_cpu) or plain(rate) == 0)


def _is_called_by(name: str) -> bool:
    """Whether a function of that name is among the callers."""
    frame = sys._getframe(1)
    while frame.f_back:
        frame = frame.f_back
        if frame.f_code.co_name == name:
            return True
    return False


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
