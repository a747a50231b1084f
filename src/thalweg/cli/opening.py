"""The first and the last that a command says: what it begins with, and where the report is."""

import gc
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thalweg.errors import counted
from thalweg.options.comparison import TEXTBOOK
from thalweg.options.range_test import ALL


def load_torch_for(what: str, *, quiet: bool = False, tracing: bool = True) -> None:
    """Says on a terminal what torch is imported for, which takes a second or more, and imports it.

    tracing: whether a model will be traced, which imports torch's compiler.
    """
    if sys.stderr.isatty() and not quiet:
        print(f"{what}; loading torch …", file=sys.stderr, flush=True)
    gc.disable()  # what an import makes stays: looking through it again and again would take a quarter of the time
    try:
        import thalweg.api.comparison  # noqa: F401

        if tracing:
            import torch._dynamo  # noqa: F401
    finally:
        gc.enable()
        gc.freeze()  # later collections leave it out, too


def load_torch_to_compare(
    workload: str,
    optimizers: Sequence[Any] | str | None,
    crossed: Mapping[str, Sequence[Any] | None] | None = None,
    *,
    varied: bool = False,
    quiet: bool = False,
) -> None:
    """`load_torch_for` a comparison: `digits: 11 optimizers with 2 schedules each; loading torch …`.

    crossed: levels by the name of one. varied: whether arguments of the model are given.
    """
    chosen = TEXTBOOK.split(", ") if optimizers is None else optimizers
    count = "all optimizers" if chosen in (ALL, [ALL]) else counted(len(chosen), "optimizer")
    each = [counted(len(given), name) for name, given in (crossed or {}).items() if given]
    each += ["varied models"] if varied else []
    times = f" with {' and '.join(each)} each" if each else ""
    load_torch_for(f"{workload}: {count}{times}", quiet=quiet)


def say_report(path: Path, *, open: bool = False) -> None:
    """Prints the path of a report, on a terminal as a link, and opens it in the browser where asked to."""
    from rich.console import Console
    from rich.text import Text

    console, target = Console(), path.absolute().as_uri()
    if console.is_terminal:
        console.print(Text.assemble("Report: ", (str(path), f"link {target}")), soft_wrap=True)
    else:
        print(f"Report: {path}")
    if open and not _opened(target):
        print("thalweg: no browser was found here: open the report yourself.", file=sys.stderr)


def _opened(target: str) -> bool:
    import webbrowser

    try:
        return webbrowser.open(target)
    except (webbrowser.Error, OSError):
        return False
