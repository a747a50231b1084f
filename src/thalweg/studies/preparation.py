"""Prepares a study for running: validates it, plans its execution, and cuts it to the budget."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from thalweg.errors import InputError, counted
from thalweg.population.planning.labels import one_class_notes
from thalweg.population.planning.memory import megabytes
from thalweg.population.planning.planned_job import PlannedJob, plan_as_recorded, plan_job
from thalweg.records.types import StudyRecord
from thalweg.regularization.stopping import EarlyStopping
from thalweg.studies.budget import PROBED, PROBED_TO_TELL, Clock, Pace, duration, expected_runs, fit, measure_all
from thalweg.studies.contender_notes import closures, conventions, coupled_penalties, own_schedules, units_of_inputs
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design, describe
from thalweg.studies.imports import require_imports
from thalweg.studies.jobs import OWN, Jobs, grouped, plan_recorded, require_used
from thalweg.studies.protocol import most_confirmed
from thalweg.studies.range_test import narrowed
from thalweg.workloads.workload import Workload

EARNED = 20_000
"""Steps of all runs from which native code is compiled: that takes a second or two, and a step then 0.1 ms less."""


@dataclass(frozen=True)
class Prepared:
    """A study before its first run. jobs: of its models. foreseen: expected runs, time and memory in one sentence.
    told: that, or the time alone where the rest was told before it was measured.
    """

    design: Design
    jobs: Jobs
    clock: Clock
    record: StudyRecord
    foreseen: str = ""
    told: str = ""

    @property
    def planned(self) -> PlannedJob:
        """The job of a study with one model."""
        (planned,) = self.jobs.all
        return planned


def prepare(
    design: Design,
    workload: Workload,
    device: torch.device,
    *,
    early_stopping: EarlyStopping | None = None,
    budget: float | None,
    memory: float | None = None,
    shown: bool = False,
    find: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> Prepared:
    """Checks the workload, plans how its runs are executed, and cuts the study to the budget.

    budget: seconds from now, for the whole study. memory: maximum bytes of the process. shown: whether a person is told
    how long the study will take, which is measured for that, a budget or a limit on memory alone. find: whether grids
    cover the intervals of a range test, which is made here. tell: receives what goes on, in a few words.
    Raises `InputError` where the workload does not run, or nothing fits.
    """
    began = time.perf_counter()
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    workload = workload.to(device)
    limit = None if memory is None else int(memory)
    copies = max(contender.copies for contender in design.contenders)
    rules: dict[str, Any] = {"early_stopping": early_stopping, "copies": copies, "workers": workers, "memory": limit}
    late = None if budget is None else began + budget
    jobs = _planned(design, workload, device, Checking(tell, late), **rules)
    design, on_rates = narrowed(design, jobs) if find else (design, ())
    pace = None
    if budget is not None or memory is not None or shown:
        if budget is None:
            tell(f"{_plan_so_far(design, workload, jobs, time.perf_counter() - began)}; measuring the time it takes")
        else:
            tell("measuring the pace")
        pace = measure_all(jobs, design, share=PROBED_TO_TELL if budget is None else PROBED)
    of_inputs = [
        note
        for planned, own in jobs.parts(design.contenders)
        if planned.models is not None
        for note in units_of_inputs(own, planned.models.tracing)
    ]
    jobs = jobs.changed(lambda planned: replace(planned, models=None))  # training begins with models of its own
    spent, clock, share, given_up = time.perf_counter() - began, Clock(began, None, None, workload), None, list[str]()
    if budget is not None and pace is not None:
        design, workload, given_up = fit(design, workload, pace, budget - spent)
        jobs = jobs.of_steps(workload.steps)
        share, clock = budget * jobs.first.plan.workers / len(design.contenders), Clock(began, budget, pace, workload)
    notes = (
        *conventions(design.contenders),
        *closures(design.contenders),
        *own_schedules(design.contenders),
        *coupled_penalties(design.contenders),
        *of_inputs,
        *one_class_notes(workload),
        *jobs.notes,
        *on_rates,
        *given_up,
    )
    record = replace(describe(design, workload, jobs, share), notes=notes)
    record = _foreseen(record, design, jobs, pace, workload, spent, limited=budget is not None)
    told = _time(record) if budget is None and pace is not None else _sentence(record)
    return Prepared(design, jobs, clock, record, _sentence(record), told)


@dataclass(frozen=True)
class Checking:
    """Tells which model is being checked. until: the time after which no further one is; `None` for no limit."""

    tell: Callable[[str], None]
    until: float | None

    def model(self, name: str, number: int, models: int) -> None:
        """Raises `InputError` where time is up."""
        if number > 1 and self.until is not None and time.perf_counter() > self.until:
            raise InputError(
                f"The budget is too short for {models} models: checking {number - 1} of them took all of it. Give more,"
                " or vary less."
            )
        if models > 1:
            self.tell(f"checking model {number} of {models}: {name or OWN}")


def _planned(design: Design, workload: Workload, device: torch.device, checking: Checking, **rules: Any) -> Jobs:
    """The planned job of every model. Native code is compiled where it has runs enough."""
    models = [*grouped(design.contenders)]

    def plan(of: Workload, contenders: Sequence[Contender], name: str) -> PlannedJob:
        checking.model(name, models.index(name) + 1, len(models))
        own = replace(design, contenders=contenders)
        native = expected_runs(own) * of.total_steps >= EARNED
        found = plan_job(of, design.base_seed, device=device, native=native, **rules)
        require_imports(own, found)
        return found

    jobs = Jobs.planned(design.contenders, workload, plan, design.base_seed)
    require_used(jobs, design.contenders, workload, design.base_seed)
    return jobs


def prepare_again(
    record: StudyRecord, design: Design, workload: Workload, device: torch.device, spent: float
) -> Prepared:
    """Prepares an interrupted study to resume after `spent` seconds of work, with its recorded plan and pace."""
    stopping = record.plan.get("early_stopping")
    rule = stopping and EarlyStopping(**stopping)

    def plan(of: Workload, _: Sequence[Contender], text: str) -> PlannedJob:
        recorded = plan_recorded(record.plan, text)
        return plan_as_recorded(of, design.base_seed, recorded, device=device, early_stopping=rule)

    jobs = Jobs.planned(design.contenders, workload.to(device), plan, design.base_seed)
    budget = record.request["budget"]
    pace = Pace(**record.plan["pace"]) if budget else None
    clock = Clock(time.perf_counter() - spent, budget, pace, jobs.first.job.workload)
    return Prepared(design, jobs, clock, record)


def _foreseen(
    record: StudyRecord,
    design: Design,
    jobs: Jobs,
    pace: Pace | None,
    workload: Workload,
    spent: float,
    *,
    limited: bool,
) -> StudyRecord:
    """Adds the expected runs, seconds where there is a pace, and bytes of the members trained at once to the record.

    spent: seconds of preparation, included in the expected seconds. limited: whether there is a budget.
    """
    runs = expected_runs(design)
    confirming = {"finals": design.finals, "most_seeds": most_confirmed(design.confirm_seeds, limited=limited)}
    expected = {
        "runs": runs,
        "preparing": round(spent, 1),
        "bytes": _bytes(design, jobs),
        **confirming,
    }
    if pace is None:
        return replace(record, plan={**record.plan, "expected": expected})
    expected["seconds"] = round(spent + pace.of(runs, workload), 1)
    return replace(record, plan={**record.plan, "pace": asdict(pace), "expected": expected})


def _bytes(design: Design, jobs: Jobs) -> int:
    """Those of the model that needs most, whose runs train at once."""
    each = jobs.parts(design.contenders)
    return max(of.plan.memory(expected_runs(replace(design, contenders=own))) for of, own in each)


def _plan_so_far(design: Design, workload: Workload, jobs: Jobs, spent: float) -> str:
    """The plan before its pace is measured, which nothing but a budget makes another one."""
    record = describe(design, workload, jobs)
    return _sentence(_foreseen(record, design, jobs, None, workload, spent, limited=False))


def _time(record: StudyRecord) -> str:
    expected = record.plan["expected"]
    return f"time: about {duration(expected['seconds'])}, {duration(expected['preparing'])} of them for checks"


def _sentence(record: StudyRecord) -> str:
    plan, expected = record.plan, record.plan["expected"]
    at_once = min(plan["width"] * plan["workers"], expected["runs"])
    how = f"up to {at_once:,} at once on {plan['workers']} threads, {megabytes(expected['bytes'])}"
    updates = f"; updates {plan['updates']}" if "updates" in plan else ""
    updates += f"; not in native code: {plan['not_native']}" if "not_native" in plan else ""
    loop = f"; by the plain loop: {plan['reason']}" if plan["reason"] else ""
    checks = duration(expected["preparing"])
    seconds = (
        f"in {duration(expected['seconds'])}, {checks} of them for" if "seconds" in expected else f"after {checks} of"
    )
    return f"plan: about {counted(expected['runs'], 'run')} {seconds} checks, {how}{loop}{updates}"
