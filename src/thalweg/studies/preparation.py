"""From what a user asks for to a study that is ready to run: how it is executed, and what a budget leaves of it."""

import time
from dataclasses import dataclass, replace

import torch

from thalweg.population.plan import Plan, make_plan
from thalweg.records.types import StudyRecord
from thalweg.studies.budget import Clock, fit, measure
from thalweg.studies.design import Design, describe
from thalweg.workloads.workload import Workload


@dataclass(frozen=True)
class Prepared:
    """A study before its first run."""

    design: Design
    plan: Plan
    clock: Clock
    record: StudyRecord


def prepare(
    design: Design, workload: Workload, device: torch.device, *, clip_norm: float | None, budget: float | None
) -> Prepared:
    """Checks the workload, chooses how its runs are executed, and cuts the study to the budget.

    budget: seconds from now, for everything. Raises `InputError` where the workload does not run, or nothing fits.
    """
    began = time.perf_counter()
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    workload = workload.to(device)
    plan = make_plan(workload, design.base_seed, device=device, workers=workers, clip_norm=clip_norm)
    if budget is None:
        return Prepared(design, plan, Clock(began, None, None, workload), describe(design, workload, plan))
    pace = measure(plan, design)
    design, workload, notes = fit(design, workload, pace, budget - (time.perf_counter() - began))
    plan = replace(plan, job=replace(plan.job, workload=workload))
    share = budget * workers / len(design.contenders)
    record = replace(describe(design, workload, plan, share), notes=tuple(notes))
    return Prepared(design, plan, Clock(began, budget, pace, workload), record)
