"""The classes of `thalweg.optim`, one a spelling in the catalogue, with empty bodies."""

from functools import cache

from thalweg.optim.optimizer import Optimizer
from thalweg.optim.signature import signature
from thalweg.recipes.catalogue import Recipe, recipes


@cache
def drop_ins() -> dict[str, type[Optimizer]]:
    """Class name → class, for every recipe with a spelling of its own."""
    return {r.drop_in.name: drop_in(r) for r in recipes().values() if r.drop_in}


def drop_in(recipe: Recipe) -> type[Optimizer]:
    """A `torch.optim.Optimizer` class for a recipe, importable from `thalweg.optim` by its torch name."""
    assert recipe.drop_in is not None
    name = recipe.drop_in.name
    doc = f"{recipe.preset.summary}\n\n{_rule_text(recipe)}\n\nPaper: {recipe.preset.paper}"
    body = {
        "recipe": recipe,
        "__module__": "thalweg.optim",
        "__doc__": doc,
        "__signature__": signature(recipe),
    }
    return type(name, (Optimizer,), body)


def _rule_text(recipe: Recipe) -> str:
    import inspect

    return (inspect.getdoc(recipe.rule.function) or "").partition("\n")[2].strip("\n")
