"""Kinds of option values: each has a range and parses a value. Numbers are a kind, too: `ranges.Range`."""

import dataclasses
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from thalweg.options.ranges import POSITIVE

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
class Quantity:
    """A positive number in the unit `base`, or a text of a number and its unit."""

    base: str
    what: str
    units: Mapping[str, float]
    examples: str

    @property
    def accepted(self) -> str:
        where = "" if self.base == "seconds" else "in Python "  # the command line takes seconds without a unit, too
        return f"{self.what} such as {self.examples}, or {where}a positive finite number of {self.base}"

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
    """True or False, also as a NumPy bool or a tensor of one element."""

    accepted: str = "True or False"
    range: str = ""

    def read(self, value: Any) -> bool | None:
        try:
            flag = value.item() if hasattr(value, "item") else value
        except Exception:  # its class may raise anything
            return None
        return flag if isinstance(flag, bool) else None


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
class DeviceName(OneLine):
    """The name of a device, also from a `torch.device`."""

    accepted: str = 'the name of a device such as "cpu" or "cuda:1"'

    def read(self, value: Any) -> str | None:
        return super().read(str(value) if type(value).__name__ == "device" else value)


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
class ListedByName(Listed):
    """Such a list, or a mapping from names to lists of values."""

    @property
    def accepted(self) -> str:
        return f"{super().accepted}, or a dict of lists of values"

    def read(self, value: Any) -> Any:
        return dict(value) if isinstance(value, Mapping) and value else super().read(value)


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


@dataclass(frozen=True)
class ExistingFile:
    """The path of a file to read."""

    accepted: str = "the path of a file that exists"
    range: str = ""

    def read(self, value: Any) -> Path | None:
        path = _path(value)
        return path if path is not None and path.is_file() else None


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
