"""`thalweg compare WORKLOAD`."""

import os
import re
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.errors import InputError


def compare(
    workload: Annotated[str, typer.Argument(help="digits, mnist, mnist-cnn or fashion-mnist.")],
    optimizers: Annotated[
        str | None,
        typer.Option(help='Names, comma-separated; hyperparameters may be fixed: "sgd,adam(eps=1e-4)".'),
    ] = None,
    learning_rates: Annotated[
        str | None, typer.Option(help="Rates to try exactly, comma-separated, for every optimizer.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Tuning seeds, at least 1.")] = 3,
    confirm_seeds: Annotated[
        int, typer.Option(help="Fresh seeds for the choice and the defaults; 0 ranks by validation.")
    ] = 5,
    epochs: Annotated[int | None, typer.Option(help="Epochs, in place of the workload's own.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps of a run, in place of epochs.")] = None,
    tune: Annotated[
        str | None, typer.Option(help='Hyperparameters to search, comma-separated: "lr,weight_decay,beta1".')
    ] = None,
    trials: Annotated[int, typer.Option(help="Trials of that search for every optimizer, at least 1.")] = 64,
    clip_norm: Annotated[float | None, typer.Option(help="The largest norm of a step's gradients.")] = None,
    budget: Annotated[
        str | None, typer.Option(help='Time for everything, "90s", "10min" or "1.5h"; the study is cut to fit.')
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(help='What the process may hold in memory, "800MB" or "4GB"; fewer runs train at once.'),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Directory of mnist/ and fashion-mnist/; or set THALWEG_DATA.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory for study.sqlite and report.html.")] = Path("thalweg-out"),
    json: Annotated[Path | None, typer.Option(help="Also write the results to this file, as JSON.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    base_seed: Annotated[int, typer.Option(help="The first tuning seed, at least 0.")] = 0,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Show progress.")] = True,
) -> None:
    """Compare optimizers on a workload: tune each, confirm on fresh seeds, rank, report."""
    from thalweg.workloads.catalogue import load, workload_names

    if optimizers is not None and ":" in optimizers:
        sys.path.append(str(Path.cwd()))  # an optimizer of the user's own; last, so that it hides no other module
    if json is not None:
        _check_writable(json)
    if workload not in workload_names():
        load(workload)
    import thalweg
    import thalweg.api

    try:
        result = thalweg.compare(
            load(workload, data_dir),
            optimizers=None if optimizers is None else _names(optimizers),
            learning_rates=None if learning_rates is None else _rates(learning_rates),
            seeds=seeds,
            confirm_seeds=confirm_seeds,
            base_seed=base_seed,
            epochs=epochs,
            steps=steps,
            tune=None if tune is None else [name.strip() for name in tune.split(",")],
            trials=trials,
            clip_norm=clip_norm,
            budget=None if budget is None else max(0.1, _seconds(budget) - (time.perf_counter() - STARTED)),
            memory=None if memory is None else _bytes(memory),
            progress=progress,
            out=out,
            device=device,
        )
    except KeyboardInterrupt:
        print(
            f"thalweg: interrupted; the runs that had finished are kept in {out / thalweg.api.STORE}.", file=sys.stderr
        )
        raise typer.Exit(130) from None
    if json is not None:
        _write_json(json, result.facts())
    _show(result, out)


def _names(text: str) -> list[str]:
    """Splits at commas that do not stand inside parentheses."""
    names = [name.strip() for name in re.split(r",(?![^(]*\))", text)]
    if not all(names):
        raise InputError(f"--optimizers must be names with commas between them, got {text!r}.")
    return names


def _rates(text: str) -> list[float]:
    try:
        return [float(rate) for rate in text.split(",")]
    except ValueError:
        raise InputError(f"--learning-rates must be numbers with commas between them, got {text!r}.") from None


STARTED = time.perf_counter()  # what is imported after this counts against a budget
UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


SIZES = {"mb": 1e6, "gb": 1e9, "mib": 2.0**20, "gib": 2.0**30}


def _seconds(text: str) -> float:
    return _quantity("budget", text, UNITS, 'a time such as "90s", "10min" or "1.5h"')


def _bytes(text: str) -> float:
    return _quantity("memory", text, SIZES, 'a size such as "800MB" or "4GB"')


def _quantity(option: str, text: str, units: dict[str, float], what: str) -> float:
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


def _show(result: Any, out: Path) -> None:
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
