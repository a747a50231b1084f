"""Parses optimizers written as text, `"quick = rmsprop(alpha=0.9), adam"`, and validates hyperparameter values."""

import ast
import math
import numbers
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.options.kinds import OneLine
from thalweg.schedules import Performance, Schedule, parse
from thalweg.schedules.parsing import names

CALL = re.compile(r"(1/t|1?[A-Za-z][\w-]*)\s*\(")
"""How a value that is a call begins, such as "cosine(warmup=5%)"."""
QUOTES = ("'", '"')
MOST_COMBINATIONS = 10_000  # per contender's space


def split(text: str) -> list[str]:
    """Splits at commas outside parentheses, brackets and quotes, which begin a value: an apostrophe does not."""
    parts, depth, quote, before = [""], 0, "", ","
    for i, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in QUOTES and before in "=,([{:" and character in text[i + 1 :]:
            quote = character
        else:
            depth = max(0, depth + (character in "([{") - (character in ")]}"))
        before = before if character.isspace() else character
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def titled(text: Any) -> tuple[str | None, str]:
    """Splits `"quick = adam(beta2=0.9)"` into title, or `None`, and call. Raises `InputError` where malformed."""
    if not isinstance(text, str):
        raise InputError(f"An optimizer is named by a string or a Contender, got {shown(text)}.")
    title, equals, rest = text.partition("=")
    if not equals or "(" in title:
        return None, text.strip()
    if not title.strip():
        raise InputError(f"Cannot read {shown(text)}; write a title as title = name(hyperparameter=value, …).")
    return title.strip(), rest.strip()


def called(text: Any) -> tuple[str, dict[str, Any]]:
    """Parses `"rmsprop(alpha=0.9)"` into name and values: literals, and schedules as `"adam(lr=cosine(warmup=5%))"`.

    Raises `InputError` where malformed.
    """
    if not isinstance(text, str):
        raise InputError(f"An optimizer must be a name, a class, a function or a Contender, got {shown(text)}.")
    name, paren, arguments = text.strip().partition("(")
    values = _arguments(arguments) if paren else {}
    values = _with_schedules(arguments) if values is None else values
    if values is None:
        raise InputError(f"Cannot read {shown(text)}; write an optimizer as name(hyperparameter=value, …).")
    return name.strip(), values


def _arguments(text: str) -> dict[str, Any] | None:
    """Parses `"alpha=0.9, eps=1e-4)"` into values by name; `None` where malformed."""
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's SyntaxWarnings about literals
            call = ast.parse(f"f({text}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            return None
        values = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):  # the last two: nested too deeply
        return None
    return values if len(values) == len(call.keywords) else None  # no duplicates, no **


def _with_schedules(text: str) -> dict[str, Any] | None:
    """As `_arguments`, where values may be calls, which are schedules. Raises `InputError` for one that is none."""
    if not text.rstrip().endswith(")"):
        return None
    values: dict[str, Any] = {}
    for argument in split(text.rstrip()[:-1]):
        name, equals, value = (part.strip() for part in argument.partition("="))
        if not equals or not name.isidentifier() or name in values:
            return None
        plain = _arguments(f"{name}={value})")
        if plain is None and not (CALL.match(value) or value in names()):
            return None
        values[name] = parse(value) if plain is None else plain[name]
    return values


def require_printable(label: str) -> None:
    """Raises `InputError` where a leaderboard name is not one printable line."""
    line = OneLine()
    if line.read(label) is None:
        raise InputError(f"An optimizer's name or title must be {line.accepted}, got {shown(label)}.")


def plain(what: str, given: Any) -> dict[str, Any]:
    """Validates a mapping hyperparameter → value; lists become tuples. Records store and compare these values.

    Raises `InputError` where `given` is no such mapping, or a value is neither a finite number, a printable string, a
    bool, `None`, a schedule nor a list of these.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InputError(f"{what} must be a dict from hyperparameters' names to values, got {shown(given)}.")
    return {name: _plain(what, name, value) for name, value in given.items()}


def combinations(what: str, space: Any) -> dict[str, tuple[Any, ...]]:
    """Validates a mapping hyperparameter → values to try. Raises `InputError` where one is no list, or there are more
    than `MOST_COMBINATIONS` combinations."""
    if not isinstance(space, Mapping) or not all(isinstance(name, str) for name in space):
        raise InputError(f"{what} must be a dict from hyperparameters' names to lists of values, got {shown(space)}.")
    count = 1
    for name, values in space.items():
        if isinstance(values, str | bytes) or not isinstance(values, Sequence) or not values:
            raise InputError(f"The space of {shown(name)} must be a list of values, got {shown(values)}.")
        count *= len(values)
        if count > MOST_COMBINATIONS:
            raise InputError(f"{what}: a space may have at most {MOST_COMBINATIONS:,} combinations; list fewer values.")
    return {name: tuple(_plain(what, name, value) for value in values) for name, values in space.items()}


def _plain(what: str, name: str, value: Any) -> Any:
    if isinstance(value, Schedule | Performance):
        return value
    if isinstance(value, list | tuple):
        return tuple(_plain(what, name, each) for each in value)
    if value is None or isinstance(value, bool) or (isinstance(value, str) and value.isprintable()):
        return value
    if isinstance(value, numbers.Real) and _is_finite(value):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    raise InputError(
        f"{what}: {shown(name)} must be a finite number, a text, True, False, None or a tuple of them, got"
        f" {shown(value)}."
    )


def _is_finite(value: numbers.Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer above the largest float
        return False
