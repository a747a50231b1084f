"""Momentum for torch's `OneCycleLR` and `CyclicLR`, which move `momentum` or the first of `betas` in every group.

A class that calls its momentum otherwise has a key `momentum` in its groups, `None` until a scheduler writes it. Where
the first of the betas is no momentum, those schedulers do not find them in `defaults`, and refuse.
"""

from collections.abc import Iterable
from typing import Any

from thalweg.optim.interop.signature import spelled
from thalweg.recipes.catalogue import Recipe

KEY, BETAS = "momentum", "betas"


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
    momentum, names = recipe.rule.momentum, spelled(recipe)
    first = recipe.rule.tuples.get(BETAS, ("",))[0] if BETAS in names else ""
    return None if momentum is None or momentum in (KEY, first) or momentum not in names else momentum


def follow(recipe: Recipe, groups: Iterable[dict[str, Any]]) -> None:
    """Takes over what a scheduler has written under `momentum`."""
    given = [group for group in groups if group.get(KEY) is not None]
    name = otherwise_called(recipe) if given else None
    for group in given:
        group[str(name)] = group[KEY]
