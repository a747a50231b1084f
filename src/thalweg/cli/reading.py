"""Parses command-line options and validates them by their declarations."""

import inspect
from typing import Annotated, Any

import typer

from thalweg.errors import InputError, shown
from thalweg.options.declared import Option
from thalweg.options.kinds import LONGEST, File, Flag, Folder, Kind, Listed
from thalweg.options.ranges import Range
from thalweg.studies.parsing import split


def checked(option: Option, value: Any) -> Any:
    """Parses a value. Raises `InputError` if the option's declaration rejects it."""
    if value is None:  # not given
        return None
    if isinstance(option.kind, Listed) and value != option.otherwise:
        value = _elements(option, option.kind, value)
    return option.check(value)


def _elements(option: Option, kind: Listed, text: str) -> list[Any]:
    """The comma-separated parts, as floats if the option takes numbers."""
    what = "numbers" if isinstance(kind.of, Range) else "names"
    parts = split(text) if len(text) <= LONGEST else [""]
    try:
        if all(parts):
            return [float(part) for part in parts] if what == "numbers" else parts
    except ValueError:
        pass
    flag = option.name.replace("_", "-")
    word = f', or "{option.otherwise}"' if option.otherwise else ""
    raise InputError(f"--{flag} must be {what} with commas between them{word}, got {shown(text)}.")


def option(of: Option) -> Any:
    """A Typer option from its declaration: name, help, range, and validation at parsing."""
    flag = f"--{of.name.replace('_', '-')}"
    names = f"{flag}/--no-{flag[2:]}" if of.default is True else flag
    shown_as = "PATH" if isinstance(of.kind, Folder | File) else None
    return typer.Option(names, help=of.described + of.more, metavar=shown_as, callback=lambda value: checked(of, value))


def parameter(of: Option) -> inspect.Parameter:
    """A command's parameter from an option's declaration, for Typer."""
    kind, default = _written(of.kind), of.default if of.written is None else of.written
    annotation = Annotated[kind if default is not None else kind | None, option(of)]  # type: ignore[valid-type]
    default = default if default is None else kind(default)
    return inspect.Parameter(of.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _written(kind: Kind) -> type:
    """The type as which Typer parses a value of that kind."""
    if isinstance(kind, Range):
        return int if kind.whole else float
    return bool if isinstance(kind, Flag) else str  # a path too: an empty one would be the working directory
