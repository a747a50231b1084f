"""`thalweg compare WORKLOAD`."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.cli.reading import option
from thalweg.options import declared
from thalweg.workloads.catalogue import load, workload_names

STARTED = time.perf_counter()  # what is imported after this counts against a budget


def compare(
    workload: Annotated[str, typer.Argument(help=f"One of {', '.join(workload_names())}.")],
    optimizers: Annotated[
        str | None, option(declared.OPTIMIZERS, more=' Commas between them: "sgd,adam(eps=1e-4)".')
    ] = None,
    learning_rates: Annotated[str | None, option(declared.LEARNING_RATES, more=" Commas between them.")] = None,
    convention: Annotated[str, option(declared.CONVENTION)] = declared.CONVENTION.default,
    seeds: session.Seeds = declared.SEEDS.default,
    confirm_seeds: session.ConfirmSeeds = declared.CONFIRM_SEEDS.default,
    epochs: Annotated[int | None, option(declared.EPOCHS, more=" In place of the workload's own.")] = None,
    steps: session.Steps = None,
    tune: Annotated[str | None, option(declared.TUNE, more=' Commas between them: "lr,weight_decay,beta1".')] = None,
    trials: Annotated[int, option(declared.TRIALS)] = declared.TRIALS.default,
    clip_norm: Annotated[float | None, option(declared.CLIP_NORM)] = None,
    budget: Annotated[str | None, option(declared.BUDGET)] = None,
    memory: session.Memory = None,
    data_dir: session.DataDir = None,
    out: Annotated[Path, option(declared.OUT)] = Path(session.OUT),
    json: session.Json = None,
    checkpoint_every: session.CheckpointEvery = "60s",
    device: session.Device = declared.DEVICE.default,
    base_seed: session.BaseSeed = declared.BASE_SEED.default,
    progress: session.ShowProgress = declared.PROGRESS.default,
    verbose: session.Verbose = False,
) -> None:
    """Compare optimizers on a workload: tune each, confirm on fresh seeds, rank, report."""
    if optimizers is not None and any(":" in name for name in optimizers):
        sys.path.append("")  # an optimizer of the user's own directory; last, so that it hides no other module
    if workload not in workload_names():
        load(workload)
    import thalweg

    options: dict[str, Any] = {
        "optimizers": optimizers, "learning_rates": learning_rates, "convention": convention,
        "seeds": seeds, "confirm_seeds": confirm_seeds,
        "base_seed": base_seed, "epochs": epochs, "steps": steps, "tune": tune, "trials": trials,
        "clip_norm": clip_norm, "memory": memory, "progress": progress, "out": out, "device": device,
        "data_dir": data_dir, "checkpoint_every": checkpoint_every,
    }  # fmt: skip
    session.heed_verbosity(verbose=verbose)
    session.run_study(lambda: thalweg.compare(workload, budget=_left(budget), **options), out, json)


def _left(budget: Any) -> float | None:
    """Of the seconds for everything, those that are left: importing took its share."""
    return None if budget is None else max(0.1, budget - (time.perf_counter() - STARTED))
