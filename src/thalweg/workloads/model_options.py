"""Options of built-in models, checked: dropout rates and switches."""

from typing import Any

from torch import nn

from thalweg.errors import InputError, shown
from thalweg.options.ranges import as_number


def dropout_rate(value: Any) -> float:
    """A share of activations that are set to zero in training. Raises `InputError` unless it is in [0, 1)."""
    rate = None if isinstance(value, bool | str) else as_number(value)
    if rate is None or not 0 <= rate < 1:
        raise InputError(f"dropout must be a number in [0, 1), got {shown(value)}.")
    return rate


def dropout_layer(rate: float) -> nn.Module:
    """Dropout, by which the activations that are left grow by 1 / (1 - rate); nothing at rate 0."""
    return nn.Dropout(rate) if rate else nn.Identity()


def switch(name: str, value: Any) -> bool:
    """True or False. Raises `InputError` for anything else."""
    if not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, got {shown(value)}.")
    return value
