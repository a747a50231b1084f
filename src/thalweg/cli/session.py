"""Shared by the commands that run a study: options, signals, logging, results."""

import functools
import inspect
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
OUT = declared.DIRECTORY


def _shared(
    seeds: Annotated[int, option(declared.SEEDS)] = declared.SEEDS.default,
    confirm_seeds: Annotated[int, option(declared.CONFIRM_SEEDS)] = declared.CONFIRM_SEEDS.default,
    base_seed: Annotated[int, option(declared.BASE_SEED)] = declared.BASE_SEED.default,
    steps: Annotated[int | None, option(declared.STEPS)] = None,
    memory: Annotated[str | None, option(declared.MEMORY)] = None,
    device: Annotated[str, option(declared.DEVICE)] = declared.DEVICE.default,
    data_dir: Annotated[Path | None, option(declared.DATA_DIR)] = None,
    out: Annotated[Path, option(declared.OUT)] = Path(OUT),
    json: Json = None,
    checkpoint_every: CheckpointEvery = "60s",
    progress: ShowProgress = declared.PROGRESS.default,
    verbose: Verbose = False,
) -> None:
    """The options of every command that starts a study."""


def studying(command: Callable[..., None]) -> Callable[..., None]:
    """Appends the options of `_shared` to a command's own; it receives them by keyword, for `run_new_study`."""

    @functools.wraps(command)
    def called(**given: Any) -> None:
        command(**given)

    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    every = [*own, *inspect.signature(_shared).parameters.values()]
    called.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]  # what Typer reads
    called.__annotations__ = {p.name: p.annotation for p in every}
    return called


def run_new_study(study: Callable[..., Any], *, json: Path | None, verbose: bool, **shared: Any) -> None:
    """Runs `study` with the shared options."""
    heed_verbosity(verbose=verbose)
    run_study(lambda: study(**shared), shared["out"], json)


def run_study(study: Callable[[], Any], out: Path, json: Path | None) -> None:
    """Runs a study, shows its result, and writes it to `json` if given; exits with 130 on Ctrl-C."""
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
    """Logs to standard error: one line per stage, or every message with the time."""
    import logging

    form = "%(asctime)s %(message)s" if verbose else "%(message)s"
    logging.basicConfig(stream=sys.stderr, format=form, datefmt="%H:%M:%S", level=logging.WARNING, force=True)
    logging.getLogger("thalweg").setLevel(logging.DEBUG if verbose else logging.INFO)


def _heed_signals() -> None:
    """Handles Ctrl-C and SIGTERM: the first lets the step finish and be saved, the second exits at once."""
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
    """Checks that a file can be written before hours of training, not after. Raises `InputError`."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{option} cannot be written to {path}: give a file in a directory that exists.")


def write_json(path: Path, facts: dict[str, Any]) -> None:
    import json

    from thalweg.reports.page import write

    write(path, json.dumps(facts, indent=2, allow_nan=False) + "\n")


def show_result(result: Any, out: Path | None) -> None:
    """Prints the leaderboard, the verdict, notes, failures, and the path of the report in `out`."""
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
    """One line per reason why runs failed, other than divergence."""
    from thalweg.analysis.reliability import DIVERGED, WORSENED

    return [
        f"{row.contender}: {count} of {row.trained} runs failed: {reason}"
        for row in rows
        for reason, count in row.failures.items()
        if reason not in (DIVERGED, WORSENED)
    ]
