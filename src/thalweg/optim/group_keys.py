"""The keys of param groups: hyperparameters, keys of users and schedulers, and misspelt hyperparameters.

torch accepts any key and ignores those that it does not know. Users and schedulers rely on that (`lr_mult`,
`max_momentum`), but a misspelt hyperparameter is silently ignored.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.optim.interop.signature import class_name
from thalweg.optim.interop.translation import NAMES, several
from thalweg.optim.stepping.diagnostics import OptimizerWarning, tell
from thalweg.recipes.catalogue import Recipe

OWN = ("params", "param_names", "schedules", "schedule_step", "last_momentum")
"""Keys that torch or the optimizer itself writes."""

NEAR = 0.8  # difflib's ratio from which a key counts as a misspelt name


class UnknownGroupKey(OptimizerWarning):
    """A param group has a key that looks like a misspelt hyperparameter, and is not read."""


def require_group(recipe: Recipe, group: Any) -> None:
    """Raises `InputError` unless it is a param group: a dict with `params`."""
    if not (isinstance(group, dict) and "params" in group):
        raise InputError(f"A param group of {class_name(recipe)} is a dict with 'params', got {shown(group)}.")


def adopted(recipe: Recipe, group: dict[str, Any]) -> dict[str, Any]:
    """A param group with our hyperparameters in place of torch's that are spelled otherwise; itself if it has none.

    Raises `InputError` where they ask for steps that the rule does not take.
    """
    rule = recipe.rule
    given = {key: group[key] for key in rule.torch_keys if key in group}
    if not given:
        return group
    found = rule.from_torch(given)
    if isinstance(found, str):
        raise InputError(f"{class_name(recipe)} cannot take over a param group of torch's: {found}.")
    return {**{key: value for key, value in group.items() if key not in given}, **found}


def check_keys(recipe: Recipe, known: Iterable[str], group: Mapping[str, Any]) -> None:
    """Warns of keys that look misspelt.

    Raises `InputError` for another library's name of a hyperparameter, or the rule's.
    """
    names = [*known]
    unknown = [str(key) for key in group if key not in names and key not in OWN]
    elsewhere = _elsewhere(recipe)
    for key in unknown:
        if key in elsewhere:
            raise InputError(
                f"{class_name(recipe)} has no hyperparameter {key!r} in its groups; give {elsewhere[key]!r}."
            )
    for key in unknown:
        if near := _nearest(key, names):
            owner = f"{class_name(recipe)}, {key!r} in a param group"  # each key warns once
            tell(owner, UnknownGroupKey, f"no step reads it; did you mean {near!r}?")


def _elsewhere(recipe: Recipe) -> dict[str, str]:
    """Another library's name of a hyperparameter, or the rule's own → the argument's name."""
    arguments = {member: argument for argument, members in recipe.rule.tuple_arguments.items() for member in members}
    spelled = [names for of in (NAMES, recipe.rule.argument_names) for names in of.values()]
    named = [(name, ours) for names in spelled for ours, theirs in names.items() for name in several(theirs)]
    theirs = {name: arguments.get(ours, ours) for name, ours in named if ours in recipe.hyperparameters}
    return {**theirs, **arguments}


def _nearest(key: str, names: Sequence[str]) -> str | None:
    """The name that a key misspells. A key that contains one as whole words (`weight_decay_scale`) misspells none."""
    if any(f"_{name}_" in f"_{key}_" for name in names):
        return None
    near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=NEAR)
    return near[0] if near else None
