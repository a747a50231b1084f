"""Where conventions have different formulas for one rule: the hyperparameters that take the same steps by another's.

A move takes `(values, source, target, constant_rate)` and returns the target's values, or a text: why there are none.
"""

from collections.abc import Callable, Mapping
from typing import Any

Values = Mapping[str, Any]
Converted = Values | str
Move = Callable[[Values, str, str, bool], Converted]

BESIDE_ROOT = "ε stands beside the root in one and inside of it in the other, which are the same for eps=0 only"


def no_conversion(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
    """The move of a rule that declares none."""
    return "their formulas differ"


def only_at_zero(name: str, reason: str) -> Move:
    """The formulas agree where that hyperparameter is 0."""

    def move(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
        return values if values[name] == 0 else reason

    return move


def rate_inside(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
    """torch multiplies the velocity by the learning rate; the others, what goes into it."""
    if values["momentum"] == 0 or constant_rate or "torch" not in (source, target):
        return values
    return "one keeps the learning rate inside of its velocity, which differs once the rate changes (see constant_rate)"
