"""Momentum for torch's `OneCycleLR` and `CyclicLR`, which move `momentum` or the first of `betas` in every group.

A class that calls its momentum otherwise has a key `momentum` in its groups, `None` until a scheduler writes it. One
with betas of which the first is no momentum keeps them out of its `defaults`: those schedulers look there, and refuse.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from thalweg.optim.interop.signature import group_defaults, spelled
from thalweg.recipes.catalogue import Recipe

KEY, BETAS = "momentum", "betas"


def otherwise_called(recipe: Recipe) -> str | None:
    """The argument that is the momentum, where no scheduler would find it."""
    momentum, names = recipe.rule.momentum, spelled(recipe)
    first = recipe.rule.tuples.get(BETAS, ("",))[0] if BETAS in names else ""
    return None if momentum is None or momentum in (KEY, first) or momentum not in names else momentum


def hidden(recipe: Recipe) -> tuple[str, ...]:
    """The keys of `defaults` that schedulers may not find."""
    return (BETAS,) if recipe.rule.momentum is None and BETAS in recipe.rule.tuples else ()


def unlisted(recipe: Recipe, groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The hidden keys with their values, of the first group if there is one."""
    own = group_defaults(recipe)
    return {name: (groups[0] if groups else own).get(name, own[name]) for name in hidden(recipe)}


def follow(recipe: Recipe, groups: Iterable[dict[str, Any]]) -> None:
    """Takes over what a scheduler has written under `momentum`."""
    given = [group for group in groups if group.get(KEY) is not None]
    name = otherwise_called(recipe) if given else None
    for group in given:
        group[str(name)] = group[KEY]
