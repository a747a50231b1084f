"""Momentum for torch's `OneCycleLR` and `CyclicLR`, which move `momentum` or the first of `betas` in every group.

A class that calls its momentum otherwise has a key `momentum` in its groups, `None` until a scheduler writes it. Where
the first of the betas is no momentum, those schedulers do not find them in `defaults`, and refuse.

From then on that key and the hyperparameter are equal at every step. Between steps the one that was written last is
ahead, until the next step takes its value for both. Where both were written, nothing tells which was first: the step
takes the hyperparameter's value, unless that follows a schedule.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from thalweg.optim.interop.signature import argument_names
from thalweg.recipes.catalogue import Recipe

KEY, BETAS = "momentum", "betas"
LAST = "last_momentum"
"""The group's key for the momentum of the last step, from which the two are told that were written since."""


class WithoutMomentum(dict[str, Any]):
    """An optimizer's defaults of which `"betas" in defaults` is false; all else sees them."""

    def __contains__(self, key: object) -> bool:
        return key != BETAS and super().__contains__(key)


def of_schedulers(recipe: Recipe, defaults: dict[str, Any]) -> dict[str, Any]:
    """The defaults as torch's schedulers should find them."""
    if recipe.rule.momentum is None:
        return WithoutMomentum(defaults)
    return {**defaults, KEY: None} if otherwise_called(recipe) else defaults


def otherwise_called(recipe: Recipe) -> str | None:
    """The argument that is the momentum, where no scheduler would find it."""
    momentum, names = recipe.rule.momentum, argument_names(recipe)
    first = recipe.rule.tuple_arguments.get(BETAS, ("",))[0] if BETAS in names else ""
    return None if momentum is None or momentum in (KEY, first) or momentum not in names else momentum


def begin(recipe: Recipe, group: dict[str, Any]) -> None:
    """Records the first momentum of a new group."""
    if name := otherwise_called(recipe):
        group.setdefault(LAST, group[name])


def sync(recipe: Recipe, groups: Iterable[dict[str, Any]]) -> None:
    """Takes over what a scheduler has written under `momentum` since the last step, unless a user set the other."""
    given = [group for group in groups if group.get(KEY) is not None]
    name = str(otherwise_called(recipe)) if given else ""
    for group in given:
        last = group.get(LAST)  # of an older checkpoint, none
        by_user = last is not None and name not in group.get("schedules", ()) and _differ(group[name], last)
        if not by_user and _differ(group[KEY], last):
            group[name] = group[KEY]
        group[KEY] = group[LAST] = group[name]


def _differ(now: Any, before: Any) -> bool:
    """Whether these are different numbers; a tensor differs from any other object, and is not read."""
    return now is not before and (isinstance(now, Tensor) or isinstance(before, Tensor) or bool(now != before))
