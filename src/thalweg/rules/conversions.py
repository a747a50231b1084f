"""Converts hyperparameters between conventions whose formulas for one rule differ, so that the steps stay the same.

A move takes `(values, source, target, constant_rate)` and returns the target's values, or a text saying why none exist.
"""

from collections.abc import Callable, Mapping
from typing import Any

Values = Mapping[str, Any]
Converted = Values | str
Move = Callable[[Values, str, str, bool], Converted]

BESIDE_ROOT = "ε stands beside the root in one and inside of it in the other, which are the same for eps=0 only"


def no_conversion(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
    """The default move: refuses, as the formulas differ."""
    return "their formulas differ"


def only_at_zero(name: str, reason: str) -> Move:
    """A move for formulas that agree only where the hyperparameter `name` is 0; otherwise it returns `reason`."""

    def move(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
        return values if values[name] == 0 else reason

    return move


def rate_inside(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
    """The move of momentum: torch multiplies the velocity by the learning rate, the others each gradient added to it.

    The two agree without momentum or with a constant learning rate.
    """
    if values["momentum"] == 0 or constant_rate or "torch" not in (source, target):
        return values
    return "one keeps the learning rate inside of its velocity, which differs once the rate changes (see constant_rate)"
