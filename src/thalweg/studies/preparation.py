"""From what a user asks for to a study that is ready to run: how it is executed, and what a budget leaves of it."""

import time
from dataclasses import asdict, dataclass, replace

import torch

from thalweg.errors import counted
from thalweg.population.labels import one_class_notes
from thalweg.population.memory import megabytes
from thalweg.population.plan import Plan, make_plan, remade
from thalweg.records.types import StudyRecord
from thalweg.studies.budget import Clock, Pace, expected_runs, fit, measure
from thalweg.studies.contenders import closures, conventions
from thalweg.studies.design import Design, describe
from thalweg.studies.imports import require_imports
from thalweg.workloads.workload import Workload


@dataclass(frozen=True)
class Prepared:
    """A study before its first run. `foreseen`: what it will take, in a sentence."""

    design: Design
    plan: Plan
    clock: Clock
    record: StudyRecord
    foreseen: str = ""


def prepare(
    design: Design,
    workload: Workload,
    device: torch.device,
    *,
    clip_norm: float | None,
    budget: float | None,
    memory: float | None = None,
) -> Prepared:
    """Checks the workload, chooses how its runs are executed, and cuts the study to the budget.

    budget: seconds from now, for everything. memory: bytes that the process may hold. Raises `InputError` where the
    workload does not run, or nothing fits.
    """
    began = time.perf_counter()
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    workload = workload.to(device)
    limit = None if memory is None else int(memory)
    plan = make_plan(workload, design.base_seed, device=device, workers=workers, clip_norm=clip_norm, memory=limit)
    require_imports(design, plan)
    pace = measure(plan, design)
    if budget is None:
        record = replace(describe(design, workload, plan), notes=_notes(design, workload))
        record = _foreseen(record, design, plan, pace, workload)
        return Prepared(design, plan, Clock(began, None, None, workload), record, _sentence(record))
    design, workload, notes = fit(design, workload, pace, budget - (time.perf_counter() - began))
    plan = replace(plan, job=replace(plan.job, workload=workload))
    share = budget * workers / len(design.contenders)
    record = replace(describe(design, workload, plan, share), notes=(*_notes(design, workload), *notes))
    record = _foreseen(record, design, plan, pace, workload)
    return Prepared(design, plan, Clock(began, budget, pace, workload), record, _sentence(record))


def _notes(design: Design, workload: Workload) -> tuple[str, ...]:
    return (*conventions(design.contenders), *closures(design.contenders), *one_class_notes(workload))


def prepare_again(
    record: StudyRecord, design: Design, workload: Workload, device: torch.device, spent: float
) -> Prepared:
    """A study that stopped, after `spent` seconds of work: executed as it was planned, nothing measured anew."""
    plan = remade(workload.to(device), design.base_seed, record.plan, device=device, clip_norm=record.plan["clip_norm"])
    budget, pace = record.request["budget"], Pace(**record.plan["pace"])
    clock = Clock(time.perf_counter() - spent, budget, pace if budget else None, plan.job.workload)
    return Prepared(design, plan, clock, record)


def _foreseen(record: StudyRecord, design: Design, plan: Plan, pace: Pace, workload: Workload) -> StudyRecord:
    """The record with what is expected: runs, seconds, and bytes of the members that train at once."""
    runs = expected_runs(design)
    expected = {"runs": runs, "seconds": round(pace.of(runs, workload), 1), "bytes": plan.memory(runs)}
    return replace(record, plan={**record.plan, "pace": asdict(pace), "expected": expected})


def _sentence(record: StudyRecord) -> str:
    plan, expected = record.plan, record.plan["expected"]
    at_once = min(plan["width"] * plan["workers"], expected["runs"])
    how = f"up to {at_once:,} at once on {plan['workers']} threads, {megabytes(expected['bytes'])}"
    updates = f"; updates {plan['updates']}" if "updates" in plan else ""
    return f"plan: about {counted(expected['runs'], 'run')} in {duration(expected['seconds'])}, {how}{updates}"


def duration(seconds: float) -> str:
    """Seconds below two minutes, minutes below two hours, hours beyond."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
