"""Options of a composed step, in addition to its rule's hyperparameters, each declared once; 0 or False is off."""

import importlib
import math
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import thalweg.rules.model
from thalweg.numerics import Value
from thalweg.options.ranges import Range
from thalweg.rules.hyperparameters import Averaging, Every, Flag, Hyperparameter, Limit, Penalty, Switch
from thalweg.rules.model_contract import ModelRule
from thalweg.rules.signature import hyperparameter
from thalweg.rules.states import PARAMETER, State

Adaptive = Annotated[Value, Range(0.0, math.inf, search=(1e-3, 1.0), scale="log"), Switch()]
Share = Annotated[Value, Range(0.0, 1.0, open_low=True, search=(0.2, 0.8))]


def _model_rules() -> dict[str, ModelRule]:
    """The model rules, discovered in the modules of `thalweg.rules.model`, by name."""
    modules = (info.name for info in pkgutil.iter_modules(thalweg.rules.model.__path__, "thalweg.rules.model."))
    values = (value for name in sorted(modules) for value in vars(importlib.import_module(name)).values())
    return {value.name: value for value in values if isinstance(value, ModelRule)}


MODEL_RULES: Mapping[str, ModelRule] = _model_rules()
"""Option → the model rule whose strength it is."""

DECLARED: tuple[tuple[str, Any, float | bool, str], ...] = (
    ("centralize", Flag, False, "take each unit's mean off its gradient, where a parameter has units"),
    ("clip_adaptive", Adaptive, 0.0, "the largest norm of a unit's gradient, as a share of its parameters' norm"),
    ("clip_global_norm", Limit, 0.0, "the largest norm of all gradients of the optimizer together"),
    ("clip_tensor_norm", Limit, 0.0, "the largest norm of each parameter tensor's gradient"),
    ("clip_value", Limit, 0.0, "the largest size of each element of the gradient"),
    ("weight_decay", Penalty, 0.0, "L2 penalty added to the gradient"),
    ("decoupled_weight_decay", Flag, False, "weight_decay shrinks the parameter by lr·weight_decay instead"),
    ("independent_weight_decay", Flag, False, "weight_decay shrinks the parameter by itself instead, whatever lr is"),
    ("l2", Penalty, 0.0, "L2 penalty l2/2·Σp² added to the gradient, however weight_decay acts"),
    ("l1", Penalty, 0.0, "L1 penalty l1·Σ|p| added to the gradient: with l2, the elastic net"),
    ("proximal_l1", Penalty, 0.0, "moves the new parameter towards 0 by lr·proximal_l1, and what is closer onto it"),
    ("proximal_l2", Penalty, 0.0, "divides the new parameter by 1 + lr·proximal_l2"),
    ("lookahead_steps", Every, 0, "steps after which slow weights move towards the parameter, and it begins from them"),
    ("lookahead_alpha", Share, 0.5, "the share of the way that slow weights move"),
    ("ema_decay", Averaging, 0.0, "decay a step of an exponential moving average of the weights, kept beside them"),
    ("clip_update", Limit, 0.0, "the largest root mean square of each parameter tensor's update, in learning rates"),
    (
        "cautious",
        Flag,
        False,
        "move only the elements whose update goes down the gradient, further for the others",
    ),
    ("max_norm", Limit, 0.0, "the largest norm of each unit's incoming weights, where a parameter has units"),
    ("min_norm", Limit, 0.0, "the smallest norm of each unit's incoming weights, where a parameter has units"),
    ("norm_rate", Share, 1.0, "the share of the way that a step takes norms to max_norm and min_norm"),
    ("unit_norm", Flag, False, "scale each unit's incoming weights to a norm of 1, where a parameter has units"),
    ("non_negative", Flag, False, "replace negative weights by 0, where a parameter has units"),
    ("keras_regularizers", Flag, False, "l2 is l2·Σp², and limited norms are divided by ε + norm, as in Keras"),
    *((rule.name, Limit, 0.0, rule.meaning) for rule in MODEL_RULES.values()),
    ("maximize", Flag, False, "ascend instead of descend"),
    ("masked", Flag, False, "hold elements at zero where the state `mask` is 0"),
)

OPTIONS: Mapping[str, Hyperparameter] = {
    name: replace(hyperparameter(name, annotation, default), meaning=meaning)
    for name, annotation, default, meaning in DECLARED
}

SLOW = State("slow_weights", initial=PARAMETER)
"""The state of `lookahead_steps`."""

EMA = State("ema_weights", initial=PARAMETER)
"""The state of `ema_decay`. A step reads it only to update the average."""

MASK = State("mask", initial=1.0)
"""The state that `masked` needs: 1 for an element that is trained, 0 for one that is held at zero. A step reads it."""

STATES: Mapping[str, State] = {"lookahead_steps": SLOW, "ema_decay": EMA, "masked": MASK}
"""Option → the state that it needs."""

TRANSFORMS = ("centralize", "clip_adaptive")
"""Options that transform whole gradients, before the elementwise step."""

CONSTRAINTS: Mapping[str, tuple[str, ...]] = {
    "non_negative": (),
    "max_norm": ("max_norm", "norm_rate"),
    "min_norm": ("min_norm", "norm_rate"),
    "unit_norm": (),
}
"""Options that constrain whole parameters, after the elementwise step → the numbers that each reads."""

ADDED = ("l2", "l1")
"""Penalties that are terms of the gradient."""

PROXIMAL = ("proximal_l1", "proximal_l2")
"""Penalties that are minimised after the update, given how far it went."""

BY_CONVENTION = ("keras_regularizers", ("l2", "max_norm", "min_norm", "unit_norm"))
"""The flag of Keras's formulas, and the options that it changes."""
