"""What commands share that run a study: how they are stopped, and what they leave behind."""

import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from thalweg.errors import InputError, Interrupted

Json = Annotated[Path | None, typer.Option(help="Also write the results to this file, as JSON.")]
ShowProgress = Annotated[bool, typer.Option("--progress/--no-progress", help="Show progress.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log more, with the time.")]
CheckpointEvery = Annotated[str, typer.Option(help='What a crash may cost at most: "60s", "5min".')]
UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def run_study(study: Callable[[], Any], out: Path, json: Path | None) -> None:
    """Runs it, shows what it found, and writes that as JSON where asked to."""
    if json is not None:
        check_writable(json)
    _heed_signals()
    try:
        result = study()
    except Interrupted as stop:
        kept = f"{stop.runs:,} runs had finished and are kept in {out}"
        where = "" if str(out) == OUT else f" --out {out}"
        print(f"thalweg: interrupted; {kept}. Go on with: thalweg resume {stop.study}{where}", file=sys.stderr)
        raise typer.Exit(130) from None
    except KeyboardInterrupt:
        print("thalweg: interrupted before the first run; nothing was kept.", file=sys.stderr)
        raise typer.Exit(130) from None
    if json is not None:
        write_json(json, result.facts())
    show_result(result, out)


OUT = "thalweg-out"


def heed_verbosity(*, verbose: bool) -> None:
    """Lines of the log on standard error: a line a stage, or with the time and all that is kept."""
    import logging

    form = "%(asctime)s %(message)s" if verbose else "%(message)s"
    logging.basicConfig(stream=sys.stderr, format=form, datefmt="%H:%M:%S", level=logging.WARNING, force=True)
    logging.getLogger("thalweg").setLevel(logging.DEBUG if verbose else logging.INFO)


def _heed_signals() -> None:
    """The first Ctrl-C (or SIGTERM) lets the step finish and be saved, the second leaves at once."""
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(130)
        asked = True
        print("thalweg: stopping after this step; Ctrl-C again leaves at once.", file=sys.stderr, flush=True)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def seconds(option: str, text: str) -> float:
    """A time such as "10min", in seconds. Raises `InputError` where it is none."""
    return quantity(option, text, UNITS, 'a time such as "90s", "10min" or "1.5h"')


def quantity(option: str, text: str, units: Mapping[str, float], what: str) -> float:
    """A number and its unit."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip().lower())
    if not found or found[2] not in units:
        raise InputError(f"--{option} must be {what}, got {text!r}.")
    return float(found[1]) * units[found[2]]


def check_writable(path: Path, option: str = "--json") -> None:
    """Before hours of training, not after."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{option} cannot be written to {path}: give a file in a directory that exists.")


def write_json(path: Path, facts: dict[str, Any]) -> None:
    import json

    from thalweg.reports.page import write

    write(path, json.dumps(facts, indent=2, allow_nan=False) + "\n")


def show_result(result: Any, out: Path | None) -> None:
    """The leaderboard, what it says, and where the report in `out` is, on standard output."""
    from rich.console import Console

    from thalweg.api import REPORT
    from thalweg.reports.terminal import lines, table

    console = Console()
    if console.is_terminal:
        console.print(table(result.study, result.rows))
    else:
        print("\n".join(lines(result.study, result.rows)), end="\n\n")
    told = [result.verdict, *result.study.notes, *_broken(result.rows)]
    print("\n".join(told), end="\n")
    if out is not None:
        print(f"\nReport: {out / REPORT}")


def _broken(rows: Any) -> list[str]:
    """What went wrong in runs, other than that they diverged."""
    from thalweg.analysis.trust import DIVERGED, WORSENED

    return [
        f"{row.contender}: {count} of {row.trained} runs failed: {reason}"
        for row in rows
        for reason, count in row.failures.items()
        if reason not in (DIVERGED, WORSENED)
    ]
