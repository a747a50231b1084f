"""Parses command-line options and validates them by their declarations."""

from typing import Any

import typer

from thalweg.errors import InputError, shown
from thalweg.options import declared
from thalweg.options.declared import Option
from thalweg.options.kinds import LONGEST
from thalweg.studies.parsing import split

ELEMENTS = {
    declared.OPTIMIZERS.name: "names",
    declared.LEARNING_RATES.name: "numbers",
    declared.TUNE.name: "names",
}  # options that take several values


def checked(option: Option, value: Any) -> Any:
    """Parses a value. Raises `InputError` if the option's declaration rejects it."""
    if value is None:  # not given
        return None
    if option.name in ELEMENTS:
        value = _elements(option, value)
    return option.check(value)


def _elements(option: Option, text: str) -> list[Any]:
    """The comma-separated parts, as floats if the option takes numbers."""
    what = ELEMENTS[option.name]
    parts = split(text) if len(text) <= LONGEST else [""]
    try:
        if all(parts):
            return [float(part) for part in parts] if what == "numbers" else parts
    except ValueError:
        pass
    flag = option.name.replace("_", "-")
    raise InputError(f"--{flag} must be {what} with commas between them, got {shown(text)}.")


def option(of: Option, names: str = "", more: str = "") -> Any:
    """A Typer option from its declaration: help, range, and validation at parsing."""
    given = (names,) if names else ()
    return typer.Option(*given, help=of.described + more, callback=lambda value: checked(of, value))
