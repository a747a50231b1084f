"""`thalweg compare WORKLOAD`."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.cli.reading import checked
from thalweg.options import declared
from thalweg.options.declared import Option
from thalweg.workloads.catalogue import load, workload_names

STARTED = time.perf_counter()  # what is imported after this counts against a budget


def _option(of: Option, names: str = "", more: str = "") -> Any:
    """An option of the command line by its declaration: help, range, and the check as soon as it is read."""
    given = (names,) if names else ()
    return typer.Option(*given, help=of.described + more, callback=lambda value: checked(of, value))


def compare(
    workload: Annotated[str, typer.Argument(help=f"One of {', '.join(workload_names())}.")],
    optimizers: Annotated[
        str | None, _option(declared.OPTIMIZERS, more=' Commas between them: "sgd,adam(eps=1e-4)".')
    ] = None,
    learning_rates: Annotated[str | None, _option(declared.LEARNING_RATES, more=" Commas between them.")] = None,
    seeds: Annotated[int, _option(declared.SEEDS)] = declared.SEEDS.default,
    confirm_seeds: Annotated[int, _option(declared.CONFIRM_SEEDS)] = declared.CONFIRM_SEEDS.default,
    epochs: Annotated[int | None, _option(declared.EPOCHS, more=" In place of the workload's own.")] = None,
    steps: Annotated[int | None, _option(declared.STEPS)] = None,
    tune: Annotated[str | None, _option(declared.TUNE, more=' Commas between them: "lr,weight_decay,beta1".')] = None,
    trials: Annotated[int, _option(declared.TRIALS)] = declared.TRIALS.default,
    clip_norm: Annotated[float | None, _option(declared.CLIP_NORM)] = None,
    budget: Annotated[str | None, _option(declared.BUDGET)] = None,
    memory: Annotated[str | None, _option(declared.MEMORY)] = None,
    data_dir: Annotated[Path | None, _option(declared.DATA_DIR)] = None,
    out: Annotated[Path, _option(declared.OUT)] = Path("thalweg-out"),
    json: Annotated[Path | None, _option(declared.JSON)] = None,
    device: Annotated[str, _option(declared.DEVICE)] = declared.DEVICE.default,
    base_seed: Annotated[int, _option(declared.BASE_SEED)] = declared.BASE_SEED.default,
    progress: Annotated[bool, _option(declared.PROGRESS, "--progress/--no-progress")] = declared.PROGRESS.default,
) -> None:
    """Compare optimizers on a workload: tune each, confirm on fresh seeds, rank, report."""
    if optimizers is not None and any(":" in name for name in optimizers):
        sys.path.append("")  # an optimizer of the user's own directory; last, so that it hides no other module
    if workload not in workload_names():
        load(workload)
    import thalweg
    import thalweg.api

    options: dict[str, Any] = {
        "optimizers": optimizers, "learning_rates": learning_rates, "seeds": seeds, "confirm_seeds": confirm_seeds,
        "base_seed": base_seed, "epochs": epochs, "steps": steps, "tune": tune, "trials": trials,
        "clip_norm": clip_norm, "memory": memory, "progress": progress, "out": out, "device": device,
    }  # fmt: skip
    try:
        result = thalweg.compare(load(workload, data_dir), budget=_left(budget), **options)
    except KeyboardInterrupt:
        print(
            f"thalweg: interrupted; the runs that had finished are kept in {out / thalweg.api.STORE}.", file=sys.stderr
        )
        raise typer.Exit(130) from None
    if json is not None:
        _write_json(json, result.facts())
    _show(result, out)


def _left(budget: Any) -> float | None:
    """Of the seconds for everything, those that are left: importing took its share."""
    return None if budget is None else max(0.1, budget - (time.perf_counter() - STARTED))


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
