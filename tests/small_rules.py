"""Rules written for a test, as recipes: `recipe_of(function)`."""

from thalweg.recipes.catalogue import Recipe
from thalweg.rules.contract import rule


def recipe_of(function, **declared):
    """The recipe of a function that fulfils the rule contract."""
    defaults = {"paper": "none: written for a test", "drop_in": "Test(lr)", "rates": (1e-3, 1e-1)}
    return Recipe(rule(**{**defaults, **declared})(function))
