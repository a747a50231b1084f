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
CheckpointEvery = Annotated[str, typer.Option(help='What a crash may cost at most: "60s", "5min".')]
UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def run_study(study: Callable[[], Any], out: Path, json: Path | None) -> None:
    """Runs it, shows what it found, and writes that as JSON where asked to."""
    if json is not None:
        _check_writable(json)
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
        _write_json(json, result.facts())
    show(result, out)


OUT = "thalweg-out"


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


def _check_writable(path: Path) -> None:
    """Before hours of training, not after."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"--json cannot be written to {path}: give a file in a directory that exists.")


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    import json

    from thalweg.reports.page import write

    write(path, json.dumps(facts, indent=2, allow_nan=False) + "\n")


def show(result: Any, out: Path) -> None:
    """The leaderboard and what it says, on standard output."""
    from rich.console import Console

    from thalweg.api import REPORT
    from thalweg.reports.terminal import lines, table

    console = Console()
    if console.is_terminal:
        console.print(table(result.study, result.rows))
    else:
        print("\n".join(lines(result.study, result.rows)), end="\n\n")
    told = [result.verdict, *result.study.notes, *_broken(result.rows)]
    print("\n".join(told), end=f"\n\nReport: {out / REPORT}\n")


def _broken(rows: Any) -> list[str]:
    """What went wrong in runs, other than that they diverged."""
    from thalweg.analysis.trust import DIVERGED, WORSENED

    return [
        f"{row.contender}: {count} of {row.trained} runs failed: {reason}"
        for row in rows
        for reason, count in row.failures.items()
        if reason not in (DIVERGED, WORSENED)
    ]
