"""Kinds of option values: each has a range and parses a value."""

import dataclasses
import math
import operator
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

LONGEST = 10_000  # characters of a text argument: nobody writes more, and regular expressions on it stay fast


class Kind(Protocol):
    """A kind of value. `accepted` ends the sentence "x must be …"; `range` follows the help, empty if that says it."""

    @property
    def accepted(self) -> str: ...

    @property
    def range(self) -> str: ...

    def read(self, value: Any) -> Any:
        """The parsed value; `None` if it is not of this kind."""


@dataclass(frozen=True)
class Integer:
    """A whole number in [low, high]."""

    low: int
    high: int

    @property
    def accepted(self) -> str:
        return f"a whole number from {self.range}"

    @property
    def range(self) -> str:
        return f"{self.low:,} to {self.high:,}"

    def read(self, value: Any) -> int | None:
        if isinstance(value, bool):
            return None
        try:
            whole = operator.index(value)
        except Exception:  # its class may raise anything
            return None
        return whole if self.low <= whole <= self.high else None


@dataclass(frozen=True)
class Number:
    """A finite number: any, one from `low` on, or one above `low`."""

    low: float = -math.inf
    above: bool = False

    @property
    def accepted(self) -> str:
        if self.low == -math.inf:
            return "a finite number"
        return "a positive finite number" if self.above and not self.low else f"a finite number {self.range}"

    @property
    def range(self) -> str:
        return "" if self.low == -math.inf else f"{'above' if self.above else 'from'} {self.low:g}"

    def read(self, value: Any) -> float | None:
        number = as_number(value)
        if number is None or not math.isfinite(number):
            return None
        return number if (number > self.low if self.above else number >= self.low) else None


POSITIVE = Number(0.0, above=True)


@dataclass(frozen=True)
class Quantity:
    """A positive number in the unit `base`, or a text of a number and its unit."""

    base: str
    what: str
    units: Mapping[str, float]
    examples: str

    @property
    def accepted(self) -> str:
        return f"{self.what} such as {self.examples}, or a positive finite number of {self.base}"

    @property
    def range(self) -> str:
        return self.examples

    def read(self, value: Any) -> float | None:
        if not isinstance(value, str):
            return POSITIVE.read(value)
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", value.strip().lower()) if len(value) < LONGEST else None
        return POSITIVE.read(float(found[1]) * self.units[found[2]]) if found and found[2] in self.units else None


@dataclass(frozen=True)
class Flag:
    """True or False."""

    accepted: str = "True or False"
    range: str = ""

    def read(self, value: Any) -> bool | None:
        return value if isinstance(value, bool) else None


@dataclass(frozen=True)
class OneLine:
    """A printable text of one line."""

    accepted: str = "a text of one line, of 1 to 200 characters"
    range: str = ""
    longest: int = 200

    def read(self, value: Any) -> str | None:
        fits = isinstance(value, str) and value.isprintable() and value.strip() and len(value) <= self.longest
        return value if fits else None


@dataclass(frozen=True)
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def accepted(self) -> str:
        return f"one of {self.range}"

    @property
    def range(self) -> str:
        return ", ".join(self.words)

    def read(self, value: Any) -> str | None:
        return value if isinstance(value, str) and value in self.words else None


@dataclass(frozen=True)
class Listed:
    """A list of 1 to `most` values, each parsed by `of`; without it, by the caller."""

    what: str
    most: int
    of: Kind | None = None
    range: str = ""

    @property
    def accepted(self) -> str:
        return f"a list of {self.what}, at least one and at most {self.most:,}"

    def read(self, value: Any) -> list[Any] | None:
        values = _listed(value)
        if values is None or not 1 <= len(values) <= self.most:
            return None
        if self.of is None:
            return values
        read = [self.of.read(each) for each in values]
        return None if None in read else read


@dataclass(frozen=True)
class Settings:
    """Named values, also as text: `patience=5, least_improvement=0.01`. The first may come alone, as `5`.

    kinds: name → kind of value; defaults: those that may be left out.
    """

    kinds: Mapping[str, Kind]
    defaults: Mapping[str, Any]
    range: str

    @property
    def accepted(self) -> str:
        return f"such as {self.range}, with {', '.join(f'{name} {kind.accepted}' for name, kind in self.kinds.items())}"

    def read(self, value: Any) -> dict[str, Any] | None:
        given = _settings(value, next(iter(self.kinds)))
        if given is None or not given.keys() <= self.kinds.keys():
            return None
        read = {name: self.kinds[name].read(of) for name, of in {**self.defaults, **given}.items()}
        return None if None in read.values() or read.keys() != self.kinds.keys() else read


@dataclass(frozen=True)
class Folder:
    """The path of a directory, existing or to be created."""

    accepted: str = "the path of a directory, or of one that can be made"
    range: str = ""

    def read(self, value: Any) -> Path | None:
        path = _path(value)
        if path is None:
            return None
        nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
        return path if nearest.is_dir() else None


@dataclass(frozen=True)
class File:
    """The path of a file that can be written, in a directory that exists."""

    accepted: str = "the path of a file that can be written, in a directory that exists"
    range: str = ""

    def read(self, value: Any) -> Path | None:
        path = _path(value)
        if path is None or path.is_dir() or not path.parent.is_dir():
            return None
        return path if os.access(path.parent, os.W_OK) else None


def as_flag(value: Any) -> bool | None:
    """True or False, also from a NumPy bool or a tensor of one element; else `None`."""
    try:
        flag = value.item() if hasattr(value, "item") else value
    except Exception:  # its class may raise anything
        return None
    return flag if isinstance(flag, bool) else None


def as_number(value: Any) -> float | None:
    """A finite or infinite real number as float, also from a tensor or array of one element; else `None`."""
    if isinstance(value, bool | str | bytes) or value is None:
        return None
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except Exception:  # its class may raise anything
        return None


def _settings(value: Any, first: str) -> dict[str, Any] | None:
    """Named values of a mapping, of an object with such attributes, of a text, or of a single value."""
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if not isinstance(value, str):
        return {first: value}
    parts = [part.partition("=") for part in value.split(",")] if len(value) <= LONGEST else []
    if len(parts) == 1 and not parts[0][1]:
        parts = [(first, "=", value)]
    named = {name.strip().replace("-", "_"): _literal(text.strip()) for name, _, text in parts}
    return named if len(named) == len(parts) else None


def _literal(text: str) -> Any:
    """A text as a number where it is one."""
    for of in (int, float):
        with suppress(ValueError):
            return of(text)
    return text


def _listed(value: Any) -> list[Any] | None:
    """The values of a list, a tuple, a range, an array or a tensor."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, range):
        value = value[: LONGEST + 1]
    return list(value) if isinstance(value, list | tuple | range) else None


def _path(value: Any) -> Path | None:
    """A path that the system can look up; `None` if it cannot."""
    try:
        if value == "":
            return None
        path = Path(os.fspath(value))
        path.absolute().exists()
        if "\0" in str(path):
            return None
    except (TypeError, ValueError, OSError):  # not a path, a name too long, or a deleted working directory
        return None
    return path
