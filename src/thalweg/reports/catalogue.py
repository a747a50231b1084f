"""The table of optimizers."""

from collections.abc import Iterable

from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.options import OPTIONS

HEADS = ("name", "hyperparameters (defaults)", "class", "paper")


def rows(recipes: Iterable[Recipe]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(headings, one list of cells per optimizer)."""
    return HEADS, [
        (recipe.name, _hyperparameters(recipe), recipe.drop_in.name if recipe.drop_in else "", recipe.preset.paper)
        for recipe in recipes
    ]


def _hyperparameters(recipe: Recipe) -> str:
    """The rule's own hyperparameters, and the common options whose defaults the recipe changes."""
    usual = {name: h.default for name, h in OPTIONS.items()}
    shown = {n: v for n, v in recipe.defaults.items() if v is not None and (n not in usual or v != usual[n])}
    return ", ".join(f"{name}={_value(value)}" for name, value in shown.items())


def _value(value: float | bool) -> str:
    return str(value) if isinstance(value, bool) else f"{value:g}"
