"""The optimizers as a table."""

from collections.abc import Iterable

from thalweg.recipes.catalogue import Recipe

HEADS = ("name", "hyperparameters (defaults)", "class", "paper")


def rows(recipes: Iterable[Recipe]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(headings, a line of cells for each optimizer)."""
    return HEADS, [
        (recipe.name, _hyperparameters(recipe), recipe.drop_in.name if recipe.drop_in else "", recipe.preset.paper)
        for recipe in recipes
    ]


def _hyperparameters(recipe: Recipe) -> str:
    named = [f"{name}={_value(value)}" for name, value in recipe.defaults.items() if value is not None]
    return ", ".join(named)


def _value(value: float | bool) -> str:
    return str(value) if isinstance(value, bool) else f"{value:g}"
