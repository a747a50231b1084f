"""Ranges of numbers: the one type that options, hyperparameters, schedules, stopping rules and search declare."""

import math
import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from thalweg.errors import InputError, shown


@dataclass(frozen=True)
class Range:
    """Finite numbers in [low, high] (an open end excludes its value), and the part of them worth searching.

    scale: how a search spaces that part: linearly, in log(x), or in log(1 - x).
    whole: whether only whole numbers are valid; they are parsed to `int`, others to `float`.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    search: tuple[float, float] | None = None
    scale: Literal["linear", "log", "log(1-x)"] = "linear"
    whole: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self._excludes_low else value >= self.low
        below = value < self.high if self._excludes_high else value <= self.high
        return above and below and (not self.whole or value == math.floor(value))  # NaN is neither above nor below

    @cached_property
    def _excludes_low(self) -> bool:
        return self.open_low or math.isinf(self.low)

    @cached_property
    def _excludes_high(self) -> bool:
        return self.open_high or math.isinf(self.high)

    def __str__(self) -> str:
        """The interval: `"[0, 1)"`."""
        ends = "(" if self._excludes_low else "[", ")" if self._excludes_high else "]"
        return f"{ends[0]}{_digits(self.low)}, {_digits(self.high)}{ends[1]}"

    @property
    def interval(self) -> str:
        """The valid values as mathematics, to follow "must be": `"a whole number in [0, inf)"`."""
        return f"{'a whole number' if self.whole else 'a number'} in {self}"

    @property
    def accepted(self) -> str:
        """The valid values in words, to follow "must be": `"a whole number from 1 to 1,000"`."""
        if (self.low, self.high, self.open_low, self.whole) == (0.0, math.inf, True, False):
            return "a positive finite number"
        kind = "a whole number" if self.whole else "a finite number"
        return f"{kind} {'from ' if self._closed else ''}{self.range}".rstrip()

    @property
    def range(self) -> str:
        """The bounds in words, to follow a help text: `"1 to 1,000"`, `"above 0"`; empty without bounds."""
        if self._closed:
            return f"{_grouped(self.low)} to {_grouped(self.high)}"
        if math.isfinite(self.high):
            return f"in {self}"
        return f"{'above' if self.open_low else 'from'} {_grouped(self.low)}" if math.isfinite(self.low) else ""

    @property
    def _closed(self) -> bool:
        return not (self._excludes_low or self._excludes_high)

    def read(self, value: Any) -> float | None:
        """The value as `int` or `float`, also of a tensor or array of one element; `None` if it is not valid."""
        number = as_whole(value) if self.whole else as_number(value)
        return number if number is not None and number in self else None

    def check(self, name: str, value: Any) -> float:
        """As `read`. Raises `InputError` with name, interval and value if it is not valid."""
        number = self.read(value)
        if number is None:
            raise InputError(f"{name} must be {self.interval}, got {shown(value)}.")
        return number

    @property
    def middle(self) -> float:
        """The middle of the part worth searching, on its scale."""
        assert self.search is not None
        low, high = self.search
        if self.scale == "log":
            return math.sqrt(low * high)
        return 1 - math.sqrt((1 - low) * (1 - high)) if self.scale == "log(1-x)" else (low + high) / 2


POSITIVE = Range(0.0, open_low=True)


def whole(low: int, high: float = math.inf, *, open_high: bool = False) -> Range:
    """Whole numbers in [low, high], or in [low, high)."""
    return Range(low, high, open_high=open_high, whole=True)


def as_number(value: Any) -> float | None:
    """A finite or infinite real number as float, also from a tensor or array of one element; else `None`."""
    if isinstance(value, bool | str | bytes) or value is None:
        return None
    try:
        plain = value.item() if hasattr(value, "item") else value
        return None if isinstance(plain, bool) else float(plain)
    except Exception:  # its class may raise anything
        return None


def as_whole(value: Any) -> int | None:
    """A whole number that a float can hold as int, also from a float, tensor or array that is whole; else `None`."""
    number = as_number(value)
    if number is None or not number.is_integer():
        return None
    try:
        return operator.index(value)  # exact beyond 2^53
    except Exception:  # its class may raise anything
        return int(number)


def _digits(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _grouped(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
