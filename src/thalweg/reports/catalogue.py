"""The list of optimizers: in groups with when to use each, as a table with all details, and as data."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.options import OPTIONS
from thalweg.rules.families import FAMILIES

HEADS = ("name", "hyperparameters (defaults)", "class", "paper", "family", "when")
MARGIN, GAP = 2, 2  # columns before a name, and between two columns of the list
LEAST = 30  # columns that hyperparameters take at least, or they are left out

Groups = Mapping[str, Sequence[Recipe]]


def groups(recipes: Mapping[str, Recipe], first: Sequence[str]) -> Groups:
    """Heading → its optimizers: those of `first`, in that order, then each family without them."""
    found = {f"compared by default ({len(first)})": [recipes[name] for name in first]}
    for family, label in FAMILIES.items():
        found[label] = [r for name, r in recipes.items() if r.preset.family == family and name not in first]
    return {label: members for label, members in found.items() if members}


def lines(of: Groups, width: int) -> list[tuple[str, bool]]:
    """The list for a terminal of that many columns as (line, whether it is a heading): one line per optimizer.

    Names are whole; where there is room, hyperparameters with their defaults follow, whole ones up to an ellipsis.
    """
    every = [recipe for members in of.values() for recipe in members]
    named = max(len(recipe.name) for recipe in every)
    room = max(width - MARGIN - named - GAP, 1)
    worded = max(len(when(recipe)) for recipe in every)
    left = room - worded - GAP
    found: list[tuple[str, bool]] = []
    for label, members in of.items():
        found.append((label, True))
        for recipe in members:
            words = when(recipe) if len(when(recipe)) <= room else textwrap.shorten(when(recipe), room, placeholder="…")
            more = _some(_hyperparameters(recipe), left) if left >= LEAST else ""
            row = f"{'':{MARGIN}}{recipe.name:<{named + GAP}}" + (f"{words:<{worded + GAP}}{more}" if more else words)
            found.append((row.rstrip(), False))
    return found


def when(recipe: Recipe) -> str:
    """When to use it, as a phrase; of another name of a rule, first that rule: `of sgd: …`."""
    of = base(recipe)
    return f"of {of}: {recipe.preset.purpose}" if of else recipe.preset.purpose


def base(recipe: Recipe) -> str:
    """The name of the optimizer of which it is a setting under another name; empty where it is none."""
    return recipe.rule.name if recipe.rule.name != recipe.name else ""


def rows(recipes: Iterable[Recipe]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(headings, one list of cells per optimizer), with all details."""
    return HEADS, [
        (
            recipe.name,
            ", ".join(_hyperparameters(recipe)),
            recipe.drop_in.name if recipe.drop_in else "",
            recipe.preset.paper,
            recipe.preset.family,
            when(recipe),
        )
        for recipe in recipes
    ]


def facts(of: Groups, first: Sequence[str]) -> list[dict[str, Any]]:
    """The list as plain data for JSON, in its order. `of`: the optimizer of which it is a setting, else `None`."""
    return [
        {
            "name": recipe.name,
            "family": recipe.preset.family,
            "default": recipe.name in first,
            "of": base(recipe) or None,
            "class": recipe.drop_in.name if recipe.drop_in else None,
            "when": recipe.preset.purpose,
            "hyperparameters": shown_defaults(recipe),
            "learning_rates": recipe.rates if recipe.rate else None,
            "conventions": recipe.conventions,
            "paper": recipe.preset.paper,
        }
        for members in of.values()
        for recipe in members
    ]


def shown_defaults(recipe: Recipe) -> dict[str, float | bool]:
    """The defaults of the rule's own hyperparameters, and of the common options that the recipe changes."""
    usual = {name: h.default for name, h in OPTIONS.items()}
    return {n: v for n, v in recipe.defaults.items() if v is not None and (n not in usual or v != usual[n])}


def _hyperparameters(recipe: Recipe) -> list[str]:
    return [f"{name}={_value(value)}" for name, value in shown_defaults(recipe).items()]


def _some(items: Sequence[str], width: int) -> str:
    """As many items as fit, an ellipsis for the others."""
    for count in range(len(items), -1, -1):
        text = ", ".join([*items[:count], *(["…"] if count < len(items) else [])])
        if len(text) <= width:
            return text
    return ""


def _value(value: float | bool) -> str:
    return str(value) if isinstance(value, bool) else f"{value:g}"
