"""`translate`: one optimizer's hyperparameters from the terms of one convention into another's."""

from collections.abc import Callable, Mapping
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.optim.signature import group_defaults
from thalweg.options.declared import CONVENTIONS
from thalweg.recipes.catalogue import Recipe, recipe
from thalweg.recipes.options import OPTIONS

Values = dict[str, Any]

NAMES: Mapping[str, Mapping[str, str]] = {
    "keras": {
        "lr": "learning_rate", "beta1": "beta_1", "beta2": "beta_2", "eps": "epsilon", "alpha": "rho",
        "clip_value": "clipvalue",
    },
    "optax": {"lr": "learning_rate", "beta1": "b1", "beta2": "b2", "beta3": "b3", "alpha": "decay"},
}  # fmt: skip
"""Our name of a hyperparameter → the library's, where it has another."""

OWN_NAMES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "keras": {"ftrl": {"l1": "l1_regularization_strength", "l2": "l2_regularization_strength"}},
    "optax": {
        "adopt": {"clipped": "use_clipping"},
        "ademamix": {"alpha": "alpha"},
        "schedule_free_adamw": {"decay": "weight_decay"},
        "schedule_free_sgd": {"momentum": "b1"},
        "signsgd": {"momentum": "beta"},
    },
}
"""The same where one rule's name in the library is not as for others."""

REPEATED: Mapping[str, Mapping[str, Mapping[str, str]]] = {"optax": {"adabelief": {"eps_root": "eps"}}}
"""A library's further argument, by rule → the hyperparameter of ours that stands for it, too."""

MODIFIERS: Values = {name: h.default for name, h in OPTIONS.items() if "weight_decay" not in name}
"""What we have for every optimizer and libraries have elsewhere, or by other formulas: norms without torch's 1e-6."""

FIXED: Mapping[str, Values] = {
    "keras": {
        **{name: off for name, off in MODIFIERS.items() if name != "clip_value"},
        "dampening": 0.0, "lr_decay": 0.0, "momentum_decay": 1.0, "decoupled_weight_decay": True, "decay": 0.0,
        "independent_weight_decay": False,
    },
    "optax": {
        **MODIFIERS, "dampening": 0.0, "lr_decay": 0.0, "momentum_decay": 1e6, "independent_weight_decay": False,
        "t_alpha": 0.0, "t_beta3": 0.0,
    },
}  # fmt: skip
"""What a library does not let its users choose, with the value that it has there."""


def names(by: Recipe) -> Mapping[str, str]:
    """Our name → the library's, of those hyperparameters of an optimizer that the library calls otherwise."""
    every = {**NAMES.get(by.convention, {}), **OWN_NAMES.get(by.convention, {}).get(by.rule.name, {})}
    return {ours: theirs for ours, theirs in every.items() if ours in by.hyperparameters}


def repeated(by: Recipe) -> Mapping[str, str]:
    """Arguments that the library has beside → the hyperparameter whose value they must have, for us to compute it."""
    return REPEATED.get(by.convention, {}).get(by.rule.name, {})


def translate(
    name: str, hyperparameters: Mapping[str, Any], source: str, target: str, *, constant_rate: bool = False
) -> Values:
    """The hyperparameters with which `target` takes the very steps that `source` takes with these.

    Args:
        name: an optimizer of the catalogue, `"rmsprop"`.
        hyperparameters: in the source's spelling (`{"learning_rate": 1e-3, "rho": 0.9}` for Keras) or in ours; what
            is left out has the source's default.
        source, target: `"torch"`, `"keras"`, `"optax"` or `"paper"`. The torch convention is that of `thalweg.optim`,
            whose classes take the result as keyword arguments.
        constant_rate: whether the learning rate never changes. Momentum with the rate inside of its buffer and
            outside of it are the same then, and only then.

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
        moved = MOVES.get(before.rule.name, _unmoved)(values, source, target, constant_rate)
        if isinstance(moved, str):
            raise InputError(
                f"{name} of {source} has no exact translation to {target}: {moved}. In Thalweg, convention={source!r}"
                " takes the same steps."
            )
        values = moved
    return _spelled(after, {key: value for key, value in values.items() if key not in initial})


def _ours(by: Recipe, given: Mapping[str, Any]) -> Values:
    """The values under our names, those that the library fixes included."""
    ours = {theirs: ours for ours, theirs in names(by).items()}
    fixed = {key: value for key, value in FIXED.get(by.convention, {}).items() if key in by.hyperparameters}
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
    """Under the library's names. Raises `InputError` for what it does not let one choose."""
    theirs = names(by)
    shadowed = {name: by.defaults[name] for name in theirs.values() if name in values and name not in theirs}
    fixed = {**FIXED.get(by.convention, {}), **shadowed}
    for key, value in values.items():
        undecayed = key == "decoupled_weight_decay" and not values["weight_decay"]
        if key in fixed and value != fixed[key] and not undecayed:
            raise InputError(f"{by.convention} has {by.name} with {key}={fixed[key]} only, got {shown(value)}.")
    if by.convention in NAMES:
        spelled = {theirs.get(key, key): value for key, value in values.items() if key not in fixed}
        return {**spelled, **{further: values[key] for further, key in repeated(by).items()}}
    return _of_drop_in(by, values)


def _of_drop_in(by: Recipe, values: Values) -> Values:
    """As our class takes it: `betas` in place of beta1 and beta2."""
    if by.drop_in is None:
        return values
    tuples = {name: tuple(values[member] for member in members) for name, members in by.rule.tuples.items()}
    known = group_defaults(by)
    return {key: value for key, value in {**values, **tuples}.items() if key in known}


Move = Callable[[Values, str, str, bool], Values | str]


def _unmoved(values: Values, source: str, target: str, constant_rate: bool) -> Values | str:
    return "their formulas differ"


def _sgd(values: Values, source: str, target: str, constant_rate: bool) -> Values | str:
    if values["momentum"] == 0 or constant_rate or CONVENTIONS[0] not in (source, target):
        return values
    return "one keeps the learning rate inside of its velocity, which differs once the rate changes (see constant_rate)"


def _adagrad(values: Values, source: str, target: str, constant_rate: bool) -> Values | str:
    """√(s + ε) is √s' + 0 of a sum s' that starts ε higher."""
    if target == CONVENTIONS[0]:
        start = values["initial_accumulator_value"] + values["eps"]
        return {**values, "initial_accumulator_value": start, "eps": 0.0}
    if values["eps"] == 0 or source != CONVENTIONS[0]:
        return values
    return "ε stands beside the root in one and inside of it in the other, which are the same for eps=0 only"


def _rmsprop(values: Values, source: str, target: str, constant_rate: bool) -> Values | str:
    if CONVENTIONS[0] not in (source, target):
        return values
    if values["eps"] != 0:
        return "ε stands beside the root in one and inside of it in the other, which are the same for eps=0 only"
    return _sgd(values, source, target, constant_rate)


def _adam(values: Values, source: str, target: str, constant_rate: bool) -> Values | str:
    if values["amsgrad"] and {source, target} != {"torch", "keras"}:
        return "they take the largest second moment before and after its correction, or correct none"
    if "keras" in (source, target) and values["eps"] != 0:
        return "Keras adds ε before the bias correction and the others after it, which are the same for eps=0 only"
    return values


def _adamax(values: Values, source: str, target: str, constant_rate: bool) -> Values | str:
    return values if values["eps"] == 0 else "ε stands inside of the maximum in one, which is the same for eps=0 only"


def _yogi(values: Values, source: str, target: str, constant_rate: bool) -> Values | str:
    return values if values["initial_accumulator_value"] == 0 else "Optax starts the first moment at that value, too"


def _madgrad(values: Values, source: str, target: str, constant_rate: bool) -> Values | str:
    return values if values["eps"] == 0 else "Optax adds ε to the learning rate, too"


def _ftrl(values: Values, source: str, target: str, constant_rate: bool) -> Values | str:
    """Keras doubles λ2, and decays before the step reads the parameter."""
    if values["weight_decay"] != 0 and values["decoupled_weight_decay"]:
        return "Keras decays the parameter before the step reads it, and so forgets the decay"
    return {**values, "l2": values["l2"] / 2 if target == "keras" else 2 * values["l2"]}


MOVES: Mapping[str, Move] = {
    "sgd": _sgd, "adagrad": _adagrad, "rmsprop": _rmsprop, "adam": _adam, "adamax": _adamax,
    "yogi": _yogi, "madgrad": _madgrad, "ftrl": _ftrl,
}  # fmt: skip
"""Rules whose formulas differ between conventions, and yet agree for some values. A text says why they do not."""
