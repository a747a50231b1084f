"""The recipe that a contender names or is: of the catalogue, of a rule, of another library's class or function."""

import functools
from typing import Any

from thalweg.recipes.catalogue import Recipe, recipe
from thalweg.recipes.imported import Imported, imported
from thalweg.rules.contract import Preset
from thalweg.studies.parsing import called


def recipe_of(given: Any) -> tuple[Recipe | Imported, dict[str, Any]]:
    """The recipe that a contender names or is, and hyperparameters that come with it."""
    if isinstance(given, Preset):
        return Recipe(given), {}
    if isinstance(given, functools.partial) and not given.args:
        found, fixed = recipe_of(given.func)
        return found, {**fixed, **given.keywords}
    own = getattr(given, "recipe", None)
    if isinstance(given, type) and isinstance(own, Recipe):
        return own, {}
    return (imported(given), {}) if callable(given) else _parse(given)


def _parse(text: Any) -> tuple[Recipe | Imported, dict[str, Any]]:
    """Parses `"rmsprop(alpha=0.9)"` into its recipe and hyperparameters."""
    name, values = called(text)
    return _found(name), values


def _found(name: str) -> Recipe | Imported:
    return Imported(name) if ":" in name else recipe(name)
