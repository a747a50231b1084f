"""What commands share that run a study: how they are stopped, and what they leave behind."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from thalweg.cli.reading import option
from thalweg.errors import InputError, Interrupted, counted
from thalweg.options import declared

Json = Annotated[Path | None, option(declared.JSON)]
ShowProgress = Annotated[bool, option(declared.PROGRESS, "--progress/--no-progress")]
Verbose = Annotated[bool, option(declared.VERBOSE, "--verbose")]
CheckpointEvery = Annotated[str, option(declared.CHECKPOINT_EVERY)]
Seeds = Annotated[int, option(declared.SEEDS)]
ConfirmSeeds = Annotated[int, option(declared.CONFIRM_SEEDS)]
Steps = Annotated[int | None, option(declared.STEPS)]
Memory = Annotated[str | None, option(declared.MEMORY)]
DataDir = Annotated[Path | None, option(declared.DATA_DIR)]
Device = Annotated[str, option(declared.DEVICE)]
BaseSeed = Annotated[int, option(declared.BASE_SEED)]
OUT = "thalweg-out"


def run_study(study: Callable[[], Any], out: Path, json: Path | None) -> None:
    """Runs it, shows what it found, and writes that as JSON where asked to."""
    _heed_signals()
    try:
        result = study()
    except Interrupted as stop:
        kept = f"{counted(stop.runs, 'run')} had finished; what finished is kept in {out}"
        where = "" if str(out) == OUT else f" --out {out}"
        print(f"thalweg: interrupted; {kept}. Go on with: thalweg resume {stop.study}{where}", file=sys.stderr)
        raise typer.Exit(130) from None
    except KeyboardInterrupt:
        print("thalweg: interrupted before the first run; nothing was kept.", file=sys.stderr)
        raise typer.Exit(130) from None
    if json is not None:
        write_json(json, result.facts())
    show_result(result, out)


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

    from thalweg.api.result import REPORT
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
