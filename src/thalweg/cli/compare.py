"""`thalweg compare WORKLOAD`."""

import re
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from thalweg.cli.session import (
    CheckpointEvery,
    Json,
    ShowProgress,
    Verbose,
    heed_verbosity,
    quantity,
    run_study,
    seconds,
)
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
    json: Json = None,
    checkpoint_every: CheckpointEvery = "60s",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    base_seed: Annotated[int, typer.Option(help="The first tuning seed, at least 0.")] = 0,
    progress: ShowProgress = True,
    verbose: Verbose = False,
) -> None:
    """Compare optimizers on a workload: tune each, confirm on fresh seeds, rank, report."""
    from thalweg.workloads.catalogue import load, workload_names

    if optimizers is not None and ":" in optimizers:
        sys.path.append(str(Path.cwd()))  # an optimizer of the user's own; last, so that it hides no other module
    if workload not in workload_names():
        load(workload)
    import thalweg

    heed_verbosity(verbose=verbose)
    run_study(
        lambda: thalweg.compare(
            workload,
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
            budget=None if budget is None else max(0.1, seconds("budget", budget) - (time.perf_counter() - STARTED)),
            memory=None if memory is None else _bytes(memory),
            progress=progress,
            out=out,
            device=device,
            data_dir=data_dir,
            checkpoint_every=seconds("checkpoint-every", checkpoint_every),
        ),
        out,
        json,
    )


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
SIZES = {"mb": 1e6, "gb": 1e9, "mib": 2.0**20, "gib": 2.0**30}


def _bytes(text: str) -> float:
    return quantity("memory", text, SIZES, 'a size such as "800MB" or "4GB"')
