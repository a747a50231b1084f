"""The classes of `thalweg.optim`, one for each drop-in of the catalogue, with empty bodies."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from thalweg.errors import InputError
from thalweg.optim.interop.precision import MEANINGS, PRECISION
from thalweg.optim.interop.signature import signature
from thalweg.optim.optimizer import Optimizer
from thalweg.recipes.catalogue import Recipe, recipes
from thalweg.recipes.options import ADDED, OPTIONS
from thalweg.recipes.recurrence import as_docstring
from thalweg.rules.contract import Preset


@cache
def drop_ins() -> dict[str, type[Optimizer]]:
    """Class name → class, for every recipe with a drop-in of its own."""
    return {r.drop_in.name: drop_in(r) for r in recipes().values() if r.drop_in}


def drop_in(rule: Recipe | Preset) -> type[Optimizer]:
    """A `torch.optim.Optimizer` class for a rule: the catalogue's, or one of your own.

    Bind your own to its class name in the rule's module (`MyRule = drop_in(my_rule)`), so that it pickles.
    """
    recipe = rule if isinstance(rule, Recipe) else Recipe(rule)
    if recipe.drop_in is None:
        raise InputError(f"The preset {recipe.name!r} has no class of its own; use its rule {recipe.rule.name!r}.")
    name = recipe.drop_in.name
    doc = (
        f"{recipe.preset.summary}\n\n{as_docstring(recipe)}\n\n{_options_text(recipe)}\n\nPaper: {recipe.preset.paper}"
    )
    body = {
        "recipe": recipe,
        "__module__": "thalweg.optim" if recipes().get(recipe.name) == recipe else recipe.rule.function.__module__,
        "__doc__": doc,
        "__init__": _constructor(signature(recipe)),
        "__signature__": signature(recipe),
    }
    return type(name, (Optimizer,), body)


def _constructor(of: inspect.Signature) -> Callable[..., None]:
    """An `__init__` with the drop-in's signature and annotations, which tools that configure classes read."""

    def __init__(self: Optimizer, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        Optimizer.__init__(self, *args, **kwargs)

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    __init__.__signature__ = of.replace(parameters=[own, *of.parameters.values()])  # type: ignore[attr-defined]
    __init__.__annotations__ = {name: p.annotation for name, p in of.parameters.items()} | {"return": None}
    return __init__


def _options_text(recipe: Recipe) -> str:
    around = [h for h in OPTIONS.values() if h.name not in ADDED or h.name not in recipe.rule.hyperparameters]
    lines = (f"    {h.name}: {h.meaning}{f', in {h.range}' if h.range else ''}." for h in around)
    held = (f"    {name}: {meaning}; {PRECISION[name]!r} unless given." for name, meaning in MEANINGS.items())
    return "\n".join(["Every optimizer also takes these by name, off unless given:", *lines, "and:", *held])
