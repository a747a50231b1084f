"""How a drop-in is called: torch's argument names, order and defaults, read off the recipe."""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from thalweg.errors import InputError
from thalweg.optim.interop.annotations import annotation
from thalweg.optim.interop.precision import PRECISION
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.options import OPTIONS
from thalweg.rules.hyperparameters import unknown

HINTS: Mapping[str, bool | None] = {
    "foreach": None,
    "fused": None,
    "capturable": False,
    "differentiable": False,
}
"""Arguments by which torch chooses an implementation. Accepted, since the choice is automatic here."""


WHOLLY_TENSORS = ("capturable", "differentiable")
"""Hints that make a step pure tensor operations."""


def group_defaults(recipe: Recipe) -> dict[str, Any]:
    """A param group's keys in torch's spelling, with the recipe's defaults."""
    assert recipe.drop_in is not None
    named = {name: _default(recipe, name) for name in recipe.drop_in.arguments}
    keyword_only = {name: recipe.defaults[name] for name in OPTIONS if name not in named}
    return {**named, **keyword_only, CONVENTION: recipe.convention, **PRECISION, **HINTS}


CONVENTION = "convention"
"""The argument, and the param groups' key, that says whose formula and defaults an optimizer follows."""


@cache
def _signature(items: tuple[tuple[str, Any, Any], ...], positional: int) -> inspect.Signature:
    kind = inspect.Parameter
    places = (kind.POSITIONAL_OR_KEYWORD if i <= positional else kind.KEYWORD_ONLY for i in range(len(items)))
    return inspect.Signature(
        [
            kind(name, place, default=default, annotation=of)
            for place, (name, default, of) in zip(places, items, strict=True)
        ],
        return_annotation=None,
    )


def signature(recipe: Recipe) -> inspect.Signature:
    """`(params, lr: float | Tensor = …, …, *, maximize: bool = False, foreach: bool | None = None, …)`."""
    assert recipe.drop_in is not None
    given = {"params": inspect.Parameter.empty, **group_defaults(recipe)}
    items = tuple((name, default, annotation(recipe, name, default)) for name, default in given.items())
    return _signature(items, len(recipe.drop_in.arguments))


def bind(recipe: Recipe, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The group defaults of a call. Raises `InputError` for arguments that the optimizer does not take."""
    known = group_defaults(recipe.under(kwargs.get(CONVENTION, recipe.convention)))
    for name in kwargs:
        if name not in known:
            raise unknown(class_name(recipe), name, known)
    try:
        bound = signature(recipe).bind(None, *args, **kwargs)
    except TypeError as error:
        raise InputError(f"{class_name(recipe)}: {error}.") from None
    return {**known, **{name: value for name, value in bound.arguments.items() if name != "params"}}


def class_name(recipe: Recipe) -> str:
    return recipe.drop_in.name if recipe.drop_in else recipe.name


def hyperparameters(recipe: Recipe, group: Mapping[str, Any]) -> dict[str, Any]:
    """A param group's hyperparameters in the rule's spelling, unchecked; absent ones are left out."""
    return recipe.split({k: group[k] for k in argument_names(recipe) if k in group})


def argument_names(recipe: Recipe) -> tuple[str, ...]:
    """A param group's hyperparameters as torch spells them."""
    others = {*HINTS, *PRECISION, CONVENTION}
    given = (name for name in group_defaults(recipe) if name not in others)
    return (*given, *(h.name for h in recipe.hyperparameters.values() if h.initially))


def _default(recipe: Recipe, name: str) -> Any:
    if name in recipe.rule.tuple_arguments:
        return tuple(recipe.defaults[member] for member in recipe.rule.tuple_arguments[name])
    return HINTS[name] if name in HINTS else recipe.defaults[name]
