"""How optimizers are written as text, `"quick = rmsprop(alpha=0.9), adam"`, and which values they may be given."""

import ast
import math
import numbers
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from thalweg.errors import InputError, shown
from thalweg.options.kinds import OneLine

MOST_COMBINATIONS = 10_000  # of a contender's space


class Written(NamedTuple):
    """`"title = name(hyperparameter=value, …)"`, taken apart."""

    title: str | None
    name: str
    values: dict[str, Any]


def split(text: str) -> list[str]:
    """The parts between the commas that stand outside parentheses and brackets."""
    parts, depth = [""], 0
    for character in text:
        depth = max(0, depth + (character in "([{") - (character in ")]}"))
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def titled(text: Any) -> tuple[str | None, str]:
    """`"quick = adam(beta2=0.9)"` → its title and the rest. Raises `InputError` where it is no such text."""
    if not isinstance(text, str):
        raise InputError(f"An optimizer is named by a string or a Contender, got {shown(text)}.")
    title, equals, rest = text.partition("=")
    if not equals or "(" in title:
        return None, text.strip()
    if not title.strip():
        raise InputError(f"Cannot read {shown(text)}; write a title as title = name(hyperparameter=value, …).")
    return title.strip(), rest.strip()


def called(text: Any) -> tuple[str, dict[str, Any]]:
    """`"rmsprop(alpha=0.9)"` → name and values. Nothing is evaluated but literals."""
    if not isinstance(text, str):
        raise InputError(f"An optimizer is named by a string or a Contender, got {shown(text)}.")
    name, paren, arguments = text.strip().partition("(")
    values = _arguments(arguments) if paren else {}
    if values is None:
        raise InputError(f"Cannot read {shown(text)}; write an optimizer as name(hyperparameter=value, …).")
    return name.strip(), values


def _arguments(text: str) -> dict[str, Any] | None:
    """`"alpha=0.9, eps=1e-4)"` → its values by name; `None` where it is anything else."""
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's own, about how literals are written
            call = ast.parse(f"f({text}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            return None
        values = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):  # the last two: nested too deeply
        return None
    return values if len(values) == len(call.keywords) else None  # none twice, and no **


def require_printable(label: str) -> None:
    """Raises `InputError` where a name on the leaderboard could not be printed."""
    line = OneLine()
    if line.read(label) is None:
        raise InputError(f"An optimizer's name or title must be {line.accepted}, got {shown(label)}.")


def plain(what: str, given: Any) -> dict[str, Any]:
    """Hyperparameter → value, a list as a tuple. Records keep values and compare them, so they must be plain.

    Raises `InputError` where it is no mapping, or a value is neither a finite number, a text, a flag, `None` nor a
    list of such.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InputError(f"{what} must be a dict from hyperparameters' names to values, got {shown(given)}.")
    return {name: _plain(what, name, value) for name, value in given.items()}


def combinations(what: str, space: Any) -> dict[str, tuple[Any, ...]]:
    """Hyperparameter → values to try. Raises `InputError` where one is no list, or they have too many combinations."""
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
    except OverflowError:  # an integer beyond the largest float
        return False
