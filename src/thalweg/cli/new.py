"""`thalweg new FILE`."""

import os
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from thalweg.cli.completion import one_of
from thalweg.errors import InputError, shown, suggest

TEMPLATES = {
    template.name.removesuffix(".py").replace("_", "-"): template
    for template in sorted(files("thalweg.cli.templates").iterdir(), key=lambda template: template.name)
    if template.name.endswith(".py") and template.name != "__init__.py"
}
"""Kind → its file in the package: one more file there is one more kind."""


def new(
    file: Annotated[str, typer.Argument(help="The file to write, such as my_problem.py.", metavar="FILE")],
    kind: Annotated[
        str,
        typer.Option(
            help=f"What to begin with: {', '.join(TEMPLATES)}.", metavar="KIND", autocompletion=one_of(TEMPLATES)
        ),
    ] = "classifier",
    force: Annotated[bool, typer.Option("--force", metavar="", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Write a file with a workload of your own to begin with: it runs as it is, and says what to replace."""
    from thalweg.reports.page import write

    if kind not in TEMPLATES:
        raise InputError(f"There is no kind of file {shown(kind)}. {suggest(kind, TEMPLATES)}")
    _require_writable(file, force=force)
    write(Path(file), TEMPLATES[kind].read_bytes())
    print(f"Wrote {file} ({kind}): it runs as it is; replace what is marked with TODO by your own.")
    print(f"Next: thalweg compare {shlex.quote(file)} --budget 1min")


def _require_writable(file: str, *, force: bool) -> None:
    """Raises `InputError` unless `thalweg compare` would read such a file, and writing it loses nothing."""
    path = Path(file)
    if path.suffix != ".py" or not file.endswith(".py") or ":" in path.name:  # a colon precedes a workload's name
        raise InputError(
            f"The file's name must end in .py and have no colon, such as my_problem.py, got {shown(file)}."
        )
    if not os.path.isdir(path.parent):  # noqa: PTH112 - of a path too long for the system, pathlib's raises
        raise InputError(f"There is no directory '{path.parent}': make it first, or choose another place.")
    if os.path.lexists(path) and not os.path.isfile(path):  # noqa: PTH113
        raise InputError(f"'{path}' exists and is no file that can be overwritten: choose another name.")
    if os.path.lexists(path) and not force:
        raise InputError(f"The file '{path}' exists: choose another name, or give --force to overwrite it.")
