"""`thalweg compare WORKLOAD`."""

import sys
import time
from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.cli.reading import option
from thalweg.options import declared
from thalweg.workloads.catalogue import load, workload_names

STARTED = time.perf_counter()  # imports after this count against a budget


@session.studying
def compare(
    workload: Annotated[str, typer.Argument(help=f"One of {', '.join(workload_names())}.")],
    optimizers: Annotated[
        str | None, option(declared.OPTIMIZERS, more=' Commas between them: "sgd,adam(eps=1e-4)".')
    ] = None,
    learning_rates: Annotated[str | None, option(declared.LEARNING_RATES, more=" Commas between them.")] = None,
    convention: Annotated[str, option(declared.CONVENTION)] = declared.CONVENTION.default,
    epochs: Annotated[int | None, option(declared.EPOCHS, more=" In place of the workload's own.")] = None,
    tune: Annotated[str | None, option(declared.TUNE, more=' Commas between them: "lr,weight_decay,beta1".')] = None,
    trials: Annotated[int, option(declared.TRIALS)] = declared.TRIALS.default,
    clip_norm: Annotated[float | None, option(declared.CLIP_NORM)] = None,
    early_stopping: Annotated[str | None, option(declared.EARLY_STOPPING)] = None,
    budget: Annotated[str | None, option(declared.BUDGET)] = None,
    **shared: Any,
) -> None:
    """Compare optimizers on a workload: tune each, confirm on fresh seeds, rank, report."""
    if optimizers is not None and any(":" in name for name in optimizers):
        sys.path.append("")  # for an optimizer in the working directory; last, so that it shadows no other module
    if workload not in workload_names():
        load(workload)
    import thalweg

    own: dict[str, Any] = {
        "optimizers": optimizers, "learning_rates": learning_rates, "convention": convention, "epochs": epochs,
        "tune": tune, "trials": trials, "clip_norm": clip_norm,
        "early_stopping": early_stopping,
    }  # fmt: skip
    session.run_new_study(lambda **given: thalweg.compare(workload, budget=_left(budget), **own, **given), **shared)


def _left(budget: Any) -> float | None:
    """The seconds left of the budget after the imports, at least 0.1."""
    return None if budget is None else max(0.1, budget - (time.perf_counter() - STARTED))
