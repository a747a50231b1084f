"""Shared by the commands that run a study: options, signals, logging, results."""

import functools
import inspect
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from thalweg.cli.opening import say_report
from thalweg.cli.reading import option, parameter
from thalweg.errors import InputError, Interrupted, counted
from thalweg.options import declared
from thalweg.options.comparison import COMPARISON
from thalweg.options.declared import Option

Json = Annotated[Path | None, option(declared.JSON)]
ShowProgress = Annotated[bool, option(COMPARISON["progress"])]
Verbose = Annotated[bool, option(declared.VERBOSE)]
Quiet = Annotated[bool, option(declared.QUIET)]
Open = Annotated[bool, option(declared.OPEN)]
SaveModel = Annotated[Path | None, option(COMPARISON["save_model"])]
CheckpointEvery = Annotated[str, option(COMPARISON["checkpoint_every"])]
OUT = declared.DIRECTORY


def taking(taken: Iterable[Option]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Appends options to those of a command, which receives them by keyword; in the order of the help's groups."""
    options = [parameter(of) for of in sorted(taken, key=lambda of: declared.PANELS.index(of.panel))]
    names = {p.name for p in options}

    def appended(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def called(**given: Any) -> None:
            command(**given)

        everything = inspect.signature(command).parameters.values()
        own = [p for p in everything if p.kind is not p.VAR_KEYWORD and p.name not in names]
        called.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]  # what Typer reads
        called.__annotations__ = {p.name: p.annotation for p in (*own, *options)}
        return called

    return appended


def studying(taken: Iterable[Option]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Appends options to those of a command that starts a study; it receives them by keyword, for `run_new_study`."""
    append = taking((*taken, declared.JSON, declared.OPEN, declared.QUIET, declared.VERBOSE))

    def appended(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def timed(**given: Any) -> None:
            command(**given, started=time.perf_counter())  # the command's imports count against a budget

        return append(timed)

    return appended


def run_new_study(
    study: Callable[..., Any],
    *,
    json: Path | None,
    verbose: bool,
    quiet: bool,
    open: bool,
    started: float | None = None,
    **asked: Any,
) -> None:
    """Runs `study` with the options of its command. started: when that did, by `time.perf_counter`, for its budget."""
    heed_verbosity(verbose=verbose, quiet=quiet)
    asked["progress"] = asked["progress"] and not quiet
    if started is not None and asked.get("budget") is not None:
        asked["budget"] = max(0.1, asked["budget"] - (time.perf_counter() - started))
    run_study(lambda: study(**asked), asked["out"], json, quiet=quiet, open=open)


def run_study(
    study: Callable[[], Any], out: Path, json: Path | None, *, quiet: bool = False, open: bool = False
) -> None:
    """Runs a study, shows its result, and writes it to `json` if given. open: whether the browser shows the report.

    Exits with 130 on Ctrl-C, and with 1 where runs failed by an exception, whose reasons are shown.
    """
    _heed_signals()
    try:
        result = study()
    except Interrupted as stop:
        finished = counted(stop.runs, "run") if stop.runs else "no run"
        where = "" if str(out) == OUT else f" --out {shlex.quote(str(out))}"
        print(
            f"thalweg: interrupted; {finished} had finished, and progress is kept in {out}."
            f" Resume with: thalweg resume {stop.study}{where}",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    except KeyboardInterrupt:
        print("thalweg: interrupted before the first run; nothing was kept.", file=sys.stderr)
        raise typer.Exit(130) from None
    if json is not None:
        write_json(json, result.facts())
    show_result(result, out, quiet=quiet, open=open)
    raised = _raised(result.rows) if hasattr(result, "leaderboard") else any(run.failure for run in result.runs)
    if raised:
        raise typer.Exit(1)


def heed_verbosity(*, verbose: bool, quiet: bool = False) -> None:
    """Logs to standard error: one line per stage, or every message with the time, or only warnings.

    Raises `InputError` for both at once.
    """
    import logging

    if verbose and quiet:
        raise InputError("--verbose and --quiet exclude each other: give one of the two.")
    form = "%(asctime)s %(message)s" if verbose else "%(message)s"
    logging.basicConfig(stream=sys.stderr, format=form, datefmt="%H:%M:%S", level=logging.WARNING, force=True)
    logging.getLogger("thalweg").setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


def _heed_signals() -> None:
    """Handles Ctrl-C and SIGTERM: the first lets the step finish and be saved, the second exits at once."""
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(130)
        asked = True
        print("thalweg: stopping after this step; press Ctrl-C again to quit at once.", file=sys.stderr, flush=True)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def check_writable(path: Path, option: str = "--json") -> None:
    """Checks that a file can be written before hours of training, not after. Raises `InputError`."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{option} cannot be written to {path}: give a file in a directory that exists.")


def write_json(path: Path, facts: dict[str, Any]) -> None:
    from thalweg.reports.page import write

    write(path, as_json(facts) + "\n")


def as_json(facts: dict[str, Any]) -> str:
    """The text that `--json` writes and `--format json` prints."""
    import json

    return json.dumps(facts, indent=2, allow_nan=False)


def show_result(result: Any, out: Path | None, *, quiet: bool = False, open: bool = False) -> None:
    """Prints the leaderboard, the verdict, notes, failures, and the path of the report in `out`.

    quiet: the verdict, failures and the path only. open: whether the browser shows the report.
    """
    from rich.console import Console

    from thalweg.api.result import REPORT

    console = Console()
    if not hasattr(result, "leaderboard"):  # a study that is no comparison
        print(result.verdict if quiet else "\n".join(result.lines(min(console.width, 120))))
    elif quiet:
        say(console, result.verdict, *_broken(result.rows))
    else:
        _show_answer(console, result)
    if out is not None:
        print("" if quiet else "\n", end="")
        say_report(out / REPORT, open=open)


def _show_answer(console: Any, result: Any) -> None:
    """What to use, in a sentence and in Python; then the tables, and what else is to be said."""
    from thalweg.reports.terminal import answer

    first, made, rest = answer(result.study, result.rows, result.verdict)
    say(console, first, style="bold")
    for line in made:
        print(f"    {line}")
    print()
    _show_tables(console, result)
    from thalweg.reports.captions import wall_time

    took = wall_time(result.study)
    say(
        console, *filter(None, [rest]), *result.study.notes, *_broken(result.rows), *([f"Took {took}."] if took else [])
    )


def _show_tables(console: Any, result: Any) -> None:
    from thalweg.reports import schedule_matrix
    from thalweg.reports.factor_matrices import MATRICES
    from thalweg.reports.terminal import further, lines, table

    if console.is_terminal:
        console.print(table(result.study, result.rows, console.width))
    else:
        print("\n".join(lines(result.study, result.rows)), end="\n\n")
    matrices = (of.lines(result.study, result.rows, result.runs) for of in (schedule_matrix, *MATRICES))
    for more in (*matrices, further(result.rows)):
        if more:
            print("\n".join(more), end="\n\n")


def say(console: Any, *sentences: str, style: str = "") -> None:
    """Prints sentences, each on a line of its own; on a terminal, they break between words."""
    from rich.text import Text

    for sentence in sentences:
        if console.is_terminal:
            console.print(Text(sentence, style=style), soft_wrap=False)
        else:
            print(sentence)


def _broken(rows: Any) -> list[str]:
    """One line per reason why runs failed, other than divergence."""
    from thalweg.analysis.reliability import DIVERGED, WORSENED

    return [
        f"{row.contender}: {count} of {row.trained} runs failed: {reason}"
        for row in rows
        for reason, count in row.failures.items()
        if reason not in (DIVERGED, WORSENED)
    ]


def _raised(rows: Any) -> bool:
    """Whether a run ended by an exception."""
    from thalweg.analysis.reliability import DIVERGED, NO_METRIC, WORSENED

    return any(row.failures.keys() - {DIVERGED, WORSENED, NO_METRIC} for row in rows)
