"""Parses command-line options and validates them by their declarations."""

import inspect
from contextlib import suppress
from typing import Annotated, Any

import typer

from thalweg.cli.completion import completion
from thalweg.errors import InputError, shown
from thalweg.options.declared import CONVENTIONS, Option
from thalweg.options.kinds import LONGEST, DeviceName, File, Flag, Folder, Kind, Listed, OneOf, Quantity, Settings
from thalweg.options.ranges import Range

METAVARS = {Folder: "DIR", File: "FILE", DeviceName: "DEVICE", Settings: "RULE"}
"""The value of an option in the help, by its kind; of others, see `_metavar`."""


def checked(option: Option, value: Any) -> Any:
    """Parses a value. Raises `InputError` if the option's declaration rejects it."""
    kind = option.kind
    if isinstance(value, list | tuple):  # given once, several times, or not at all
        value = ",".join(value) if value else None
    if value is None:  # not given
        return None
    if isinstance(kind, Listed) and value != option.otherwise:
        value = _elements(option, kind, value)
    elif isinstance(value, str) and (
        isinstance(kind, Range) or (isinstance(kind, Quantity) and kind.base == "seconds")
    ):
        value = _number(value, whole=isinstance(kind, Range) and kind.whole)
    found = option.check(value)
    return [found] if isinstance(kind, Listed) and isinstance(found, str) else found  # Typer makes lists of all


def _number(text: str, *, whole: bool) -> Any:
    """A text as a number, or itself where it is none: its declaration then says what it takes."""
    for kind in (int, float) if whole else (float,):
        with suppress(ValueError):
            return kind(text)
    return text


def _elements(option: Option, kind: Listed, text: str) -> list[Any]:
    """The comma-separated parts, as floats if the option takes numbers."""
    from thalweg.studies.parsing import split

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
    """A Typer option from its declaration: name, help, range, group, completion, and validation at parsing."""
    flag = f"--{of.name.replace('_', '-')}"
    return typer.Option(
        f"{flag}/--no-{flag[2:]}" if of.default is True else flag,
        help=of.described + of.more,
        metavar="" if isinstance(of.kind, Flag) else of.metavar or _metavar(of.kind),
        show_default=of.unset or of.default is not False,
        rich_help_panel=of.panel,
        autocompletion=completion(of.name, of.kind),
        callback=lambda value: checked(of, value),
    )


def _metavar(kind: Kind) -> str:
    if isinstance(kind, Range):
        return "N" if kind.whole else "NUMBER"
    if isinstance(kind, Quantity):
        return "TIME" if kind.base == "seconds" else "SIZE"
    if isinstance(kind, OneOf):
        return "LIBRARY" if kind.words == CONVENTIONS else "WORD"
    return METAVARS.get(type(kind), "TEXT")


def parameter(of: Option) -> inspect.Parameter:
    """A command's parameter from an option's declaration, for Typer."""
    kind: Any = bool if isinstance(of.kind, Flag) else list[str] if isinstance(of.kind, Listed) else str
    default = of.default if of.written is None else of.written
    annotation = Annotated[kind if default is not None else kind | None, option(of)]  # type: ignore[valid-type]
    default = default if default is None else [str(default)] if isinstance(of.kind, Listed) else kind(default)
    return inspect.Parameter(of.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
