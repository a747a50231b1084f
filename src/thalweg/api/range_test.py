"""`find_lr`: learning rates by a range test."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from thalweg.api.range_result import RangeTest
from thalweg.api.requirements import problem, require_plain_context, usable
from thalweg.errors import counted
from thalweg.options.calls import by_name
from thalweg.options.range_test import ALL, RANGE_TEST
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.recipes.catalogue import recipes
from thalweg.records.events import Noted
from thalweg.reports.progress import display
from thalweg.rules.contract import Preset
from thalweg.studies import contenders as entries
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design, require_rates_to_find
from thalweg.studies.imports import require_imports
from thalweg.studies.jobs import Jobs, require_used
from thalweg.studies.parsing import split
from thalweg.studies.preparation import EARNED
from thalweg.studies.protocol import TEXTBOOK, tuning_seeds
from thalweg.studies.range_sweep import STEPS, sweep
from thalweg.studies.range_test import caveats, findings, verifying_steps
from thalweg.studies.range_test import verify as verified
from thalweg.studies.shipped_calibration import shipped
from thalweg.workloads.catalogue import load
from thalweg.workloads.workload import Workload


@by_name("find_lr")
def find_lr(
    workload: Workload | str,
    optimizers: str | Sequence[str | Preset | Contender | Callable[..., Any]] | None = None,
    *,
    convention: str = "torch",
    seeds: int = 3,
    base_seed: int = 0,
    epochs: int | None = None,
    steps: int | None = None,
    clip_norm: float | None = None,
    memory: float | str | None = None,
    progress: bool = True,
    verify: bool = True,
    device: str = "cpu",
    data_dir: str | Path | None = None,
) -> RangeTest:
    """Finds an interval of learning rates for each optimizer by a range test, and verifies its suggestion.

    All optimizers and seeds are swept in one population: in 300 steps, the rate rises from a tenth of the lowest worth
    searching to ten times the highest. What the curve of losses says of the best rate of a whole run was calibrated on
    tasks whose best rates are known. Then runs of half the length are trained at each suggestion, at a third and at
    three times of it; where one of these is clearly better, it is suggested instead, and the finding says so.

    Args:
        workload: as `compare` takes it.
        optimizers: as `compare` takes them, or `"all"` of the catalogue; by default the textbooks' eleven.
        convention: as `compare` takes it.
        seeds: number of runs of each, `base_seed`, `base_seed + 1`, …: 1 to 1,000.
        base_seed: the first seed.
        epochs, steps: the length of the run for which rates are sought, in place of the workload's own.
        clip_norm, memory, progress, device, data_dir: as `compare` takes them.
        verify: whether to train the short runs.

    Raises:
        InputError: invalid input, in one sentence; or no optimizer whose learning rate is to be found.
    """
    given = locals()
    given["optimizers"] = split(optimizers) if isinstance(optimizers, str) and optimizers != ALL else optimizers
    asked = {name: option.check(given[name]) for name, option in RANGE_TEST.items()}
    named = list(recipes()) if asked["optimizers"] == ALL else asked["optimizers"] or TEXTBOOK
    compared = entries.contenders(named, asked["convention"])
    design = Design(compared, None, asked["seeds"], 0, asked["base_seed"], clip_norm=asked["clip_norm"])
    require_rates_to_find(design)
    where = usable(asked["device"])
    whole = load(workload, asked["data_dir"]) if isinstance(workload, str) else workload
    trained = problem(whole, asked["epochs"], asked["steps"])
    require_plain_context()
    with closing(display(progress=asked["progress"])) as show:
        show(Noted("checking the model"))
        jobs = _planned(design, trained, where, asked["memory"])
        return _tested(design, jobs, show, verify=asked["verify"])


def _planned(design: Design, workload: Workload, device: torch.device, memory: float | None) -> Jobs:
    """The plan of all runs; native code is compiled where they have steps enough."""
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    each = design.seeds * (STEPS + 3 * verifying_steps(workload.total_steps))
    copies = max(c.copies for c in design.contenders)
    limit = None if memory is None else int(memory)

    def plan(of: Workload, contenders: Sequence[Contender], _: str) -> PlannedJob:
        found = plan_job(
            of, design.base_seed, device=device, workers=workers, memory=limit, copies=copies,
            native=len(contenders) * each >= EARNED,
        )  # fmt: skip
        require_imports(replace(design, contenders=contenders), found)
        return found

    placed = workload.to(device)
    jobs = Jobs.planned(design.contenders, placed, plan, design.base_seed)
    require_used(jobs, design.contenders, placed, design.base_seed)
    return jobs


def _tested(design: Design, jobs: Jobs, show: Callable[[Noted], None], *, verify: bool) -> RangeTest:
    seeds, contenders = tuning_seeds(design.base_seed, design.seeds), design.contenders
    swept = sum(c.has_own_grid for c in contenders)
    show(Noted(f"sweeping the rates of {counted(swept, 'optimizer')} with {counted(len(seeds), 'seed')}"))
    calibration, total = shipped(), jobs.first.job.workload.total_steps
    curves = sweep(jobs, contenders, seeds)
    found = findings(contenders, curves, calibration)
    if verify and any(f.suggestion is not None for f in found):
        show(Noted(f"verifying the suggestions by runs of {counted(verifying_steps(total), 'step')}"))
        found = verified(jobs, contenders, found, seeds)
    notes = caveats(contenders, total, calibration) if any(f.interval is not None for f in found) else ()
    source, name = calibration.source, jobs.first.job.workload.name
    return RangeTest(name, total, STEPS, seeds, tuple(found), calibration.coverage, source, notes, curves)
