"""Declared hyperparameters: default, valid range and search range."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from thalweg.errors import SHOWN, InputError, shown
from thalweg.numerics import Value
from thalweg.options.kinds import as_flag, as_number


@dataclass(frozen=True)
class Range:
    """Valid values [low, high] (an open end excludes its value) and the range worth searching.

    scale: how tuners should space the search range: linearly, in log(x), or in log(1 - x).
    whole: whether only integers are valid.
    """

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False
    search: tuple[float, float] | None = None
    scale: Literal["linear", "log", "log(1-x)"] = "linear"
    whole: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high or math.isinf(self.high) else value <= self.high
        return above and below and (not self.whole or float(value).is_integer())  # NaN compares false on both sides

    def __str__(self) -> str:
        ends = "(" if self.open_low else "[", ")" if self.open_high or math.isinf(self.high) else "]"
        return f"{ends[0]}{self.low:g}, {self.high:g}{ends[1]}"


@dataclass(frozen=True)
class Switch:
    """Marks a hyperparameter whose value 0 switches its part of the rule off: the rule then receives `None`."""


@dataclass(frozen=True)
class Initially:
    """Marks a hyperparameter that defaults to the initial value of another one, `source`."""

    source: str


Rate = Annotated[Value, Range(0.0, math.inf)]
InitialRate = Annotated[Value, Range(0.0, math.inf, open_low=True), Initially("lr")]
Decay = Annotated[Value, Range(0.0, 1.0, open_high=True, search=(0.5, 0.9999), scale="log(1-x)")]
Fraction = Annotated[Value, Range(0.0, 1.0, search=(0.0, 0.99))]
Momentum = Annotated[Value, Range(0.0, 1.0, search=(0.5, 0.99), scale="log(1-x)"), Switch()]
OpenFraction = Annotated[Value, Range(0.0, 1.0, open_low=True, open_high=True, search=(1e-4, 1e-1), scale="log")]
NonNegative = Annotated[Value, Range(0.0, math.inf)]
Epsilon = Annotated[Value, Range(0.0, math.inf, search=(1e-10, 1e-2), scale="log")]
PENALTIES = Range(0.0, math.inf, search=(1e-6, 1e-1), scale="log")
Penalty = Annotated[Value, PENALTIES, Switch()]
Limit = Annotated[Value, Range(0.0, math.inf), Switch()]
Every = Annotated[Value, Range(0.0, math.inf, whole=True), Switch()]
Averaging = Annotated[Value, Range(0.0, 1.0, open_high=True, search=(0.9, 0.9999), scale="log(1-x)"), Switch()]
Flag = bool


@dataclass(frozen=True)
class Hyperparameter:
    """One declared hyperparameter. `range` is `None` for a flag. `meaning`: a short text if the name says little."""

    name: str
    default: float | bool | None
    range: Range | None = None
    switch: bool = False
    initially: str | None = None
    meaning: str = ""

    @property
    def is_flag(self) -> bool:
        return self.range is None

    @property
    def is_penalty(self) -> bool:
        """Whether it is a decay strength: decay moves parameters even at zero gradient."""
        return self.range == PENALTIES

    def check(self, owner: str, value: Any) -> float | bool:
        """Returns `value` as a Python number or flag. Raises `InputError` with name, range and value if invalid."""
        if self.is_flag:
            flag = as_flag(value)
            if flag is not None:
                return flag
            raise InputError(f"The {self.name!r} of {owner} must be True or False, got {shown(value)}.")
        number = as_number(value)
        if number is None or number not in self.range:  # type: ignore[operator]
            kind = "a whole number" if self.range and self.range.whole else "a number"
            raise InputError(f"The {self.name!r} of {owner} must be {kind} in {self.range}, got {shown(value)}.")
        return number

    def check_initial(self, owner: str, value: float) -> float:
        """Checks the initial value of the hyperparameter that this one defaults to. `InputError` names that one."""
        if self.range is not None and value not in self.range:
            raise InputError(f"The {self.initially!r} of {owner} must begin in {self.range}, got {shown(value)}.")
        return value


def unknown(owner: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a hyperparameter that `owner` does not have: suggests the closest name, or lists all."""
    names = tuple(known)
    near = difflib.get_close_matches(str(name)[:SHOWN], names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}."
    return InputError(f"{owner} has no hyperparameter {shown(name)}; {hint}")
