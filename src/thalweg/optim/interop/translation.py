"""`translate`: converts an optimizer's hyperparameters from one convention to another."""

from collections.abc import Mapping
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.optim.interop.signature import group_defaults
from thalweg.recipes.catalogue import Recipe, recipe
from thalweg.recipes.options import ADDED, BY_CONVENTION, OPTIONS

Values = dict[str, Any]

NAMES: Mapping[str, Mapping[str, str]] = {
    "keras": {
        "lr": "learning_rate", "beta1": "beta_1", "beta2": "beta_2", "eps": "epsilon", "alpha": "rho",
        "clip_value": "clipvalue",
    },
    "optax": {"lr": "learning_rate", "beta1": "b1", "beta2": "b2", "beta3": "b3", "alpha": "decay"},
}  # fmt: skip
"""Our name of a hyperparameter → the library's, where it differs; `Rule.argument_names` has the exceptions."""

MODIFIERS: Values = {name: h.default for name, h in OPTIONS.items() if "weight_decay" not in name}
"""Options of every optimizer here; libraries have them elsewhere, or by other formulas (norms without torch's 1e-6)."""

FIXED: Mapping[str, Values] = {
    "keras": {
        **{name: off for name, off in MODIFIERS.items() if name != "clip_value"},
        "dampening": 0.0, "lr_decay": 0.0, "momentum_decay": 1.0, "decoupled_weight_decay": True, "decay": 0.0,
        "independent_weight_decay": False, BY_CONVENTION[0]: True,
    },
    "optax": {
        **MODIFIERS, "dampening": 0.0, "lr_decay": 0.0, "momentum_decay": 1e6, "independent_weight_decay": False,
        "t_alpha": 0.0, "t_beta3": 0.0,
    },
}  # fmt: skip
"""Hyperparameters that a library does not expose, with their fixed values."""


def names(by: Recipe) -> Mapping[str, str]:
    """Our name → the library's, for an optimizer's hyperparameters that the library names differently."""
    own = {ours: several(theirs)[0] for ours, theirs in by.rule.argument_names.get(by.convention, {}).items()}
    every = {**NAMES.get(by.convention, {}), **own}
    return {ours: theirs for ours, theirs in every.items() if ours in by.hyperparameters}


def repeated(by: Recipe) -> Mapping[str, str]:
    """Additional arguments of the library → the hyperparameter whose value they must equal (we have one for both)."""
    spelled = by.rule.argument_names.get(by.convention, {})
    return {further: ours for ours, theirs in spelled.items() for further in several(theirs)[1:]}


def several(theirs: str | tuple[str, ...]) -> tuple[str, ...]:
    """The names that a library has for one hyperparameter."""
    return (theirs,) if isinstance(theirs, str) else theirs


def translate(
    name: str, hyperparameters: Mapping[str, Any], source: str, target: str, *, constant_rate: bool = False
) -> Values:
    """Hyperparameters with which `target` takes exactly the steps that `source` takes with these.

    Args:
        name: an optimizer of the catalogue, `"rmsprop"`.
        hyperparameters: in the source's spelling (`{"learning_rate": 1e-3, "rho": 0.9}` for Keras) or in ours; those
            left out have the source's default.
        source, target: `"torch"`, `"keras"`, `"optax"` or `"paper"`. The torch convention is that of `thalweg.optim`,
            whose classes take the result as keyword arguments.
        constant_rate: whether the learning rate never changes. Only then is momentum with the rate inside its buffer
            the same as with the rate outside.

    Returns:
        every hyperparameter of the optimizer in the target's spelling.

    Raises:
        InputError: where no values make the two take the same steps, with the reason; and for an optimizer,
            convention or hyperparameter that does not exist.
    """
    before, after = recipe(name).under(source), recipe(name).under(target)
    values: Values = dict(before.resolve(_ours(before, hyperparameters)))
    initial = [h.name for h in before.hyperparameters.values() if h.initially and values[h.name] == values[h.initially]]
    if before.formula != after.formula:
        moved = before.rule.move(values, source, target, constant_rate)
        if isinstance(moved, str):
            raise InputError(
                f"{name} of {source} has no exact translation to {target}: {moved}. In Thalweg, convention={source!r}"
                " takes the same steps."
            )
        values = dict(moved)
    flag, changed = BY_CONVENTION
    if not any(values[key] for key in changed if key not in after.rule.hyperparameters):
        values[flag] = after.defaults[flag]
    return _spelled(after, {key: value for key, value in values.items() if key not in initial})


def _fixed(by: Recipe) -> Values:
    """Our name → the value that the library fixes, without penalties that are the rule's own."""
    own = [name for name in ADDED if name in by.rule.hyperparameters]
    return {name: value for name, value in FIXED.get(by.convention, {}).items() if name not in own}


def _ours(by: Recipe, given: Mapping[str, Any]) -> Values:
    """The values under our names, including those that the library fixes."""
    ours = {theirs: ours for ours, theirs in names(by).items()}
    fixed = {key: value for key, value in _fixed(by).items() if key in by.hyperparameters}
    alike = repeated(by)
    for further, key in alike.items():
        values = [given.get(name, by.defaults[key]) for name in (key, further)]
        if values[0] != values[1]:
            raise InputError(
                f"{by.name} has one value for {by.convention}'s {key} and {further}, got {shown(values[0])} and"
                f" {shown(values[1])}; give it both."
            )
    given = {key: value for key, value in given.items() if key not in alike}
    return {**fixed, **{ours.get(key, key): value for key, value in given.items()}}


def _spelled(by: Recipe, values: Values) -> Values:
    """The values under the library's names. Raises `InputError` for a value that the library cannot have."""
    theirs = names(by)
    shadowed = {name: by.defaults[name] for name in theirs.values() if name in values and name not in theirs}
    fixed = {**_fixed(by), **shadowed}
    for key, value in values.items():
        undecayed = key == "decoupled_weight_decay" and not values["weight_decay"]
        if key in fixed and value != fixed[key] and not undecayed:
            raise InputError(f"{by.convention} has {by.name} with {key}={fixed[key]} only, got {shown(value)}.")
    if by.convention in NAMES:
        spelled = {theirs.get(key, key): value for key, value in values.items() if key not in fixed}
        return {**spelled, **{further: values[key] for further, key in repeated(by).items()}}
    return _of_drop_in(by, values)


def _of_drop_in(by: Recipe, values: Values) -> Values:
    """Arguments of our class: `betas` in place of beta1 and beta2."""
    if by.drop_in is None:
        return values
    tuples = {name: tuple(values[member] for member in members) for name, members in by.rule.tuple_arguments.items()}
    known = group_defaults(by)
    return {key: value for key, value in {**values, **tuples}.items() if key in known}
