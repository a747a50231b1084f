"""Planning: checks and timings of a workload's programs against the loop, and the choice between them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from thalweg.errors import InputError
from thalweg.execution.dispatch import unreached
from thalweg.population.planning import memory as needs
from thalweg.population.planning.backend import quickest, verified
from thalweg.population.planning.inspection import inspect
from thalweg.population.planning.plan import NATIVE, Plan
from thalweg.population.planning.programs import library_of, natively, programs_of
from thalweg.population.program.convolutions import has_convolutions
from thalweg.population.program.gradients import GradientProgram
from thalweg.population.program.models import build
from thalweg.population.program.programs import Programs
from thalweg.population.program.trial_models import TrialModels
from thalweg.population.training.evaluation import evaluation_bytes
from thalweg.population.training.job import Job
from thalweg.workloads.workload import Workload

Execution = Literal["auto", "population", "loop"]


@dataclass(frozen=True)
class PlannedJob:
    """A job with its plan, and the programs of this process. models: for trials and timings until training begins."""

    job: Job
    plan: Plan
    programs: Programs
    models: TrialModels | None = None

    @property
    def why_loop(self) -> str:
        """Why the loop is used, by the plan or after a `Disagreement`; else empty."""
        return self.plan.reason or self.programs.distrusted

    @property
    def as_it_goes(self) -> Plan:
        """The plan for runs that begin now: the loop after a `Disagreement`."""
        return replace(self.plan, reason=self.why_loop)

    def of(self, workload: Workload) -> "PlannedJob":
        """The same for a workload of other data or lengths."""
        return replace(self, job=replace(self.job, workload=workload))


def plan_job(
    workload: Workload,
    seed: int,
    *,
    device: torch.device,
    workers: int,
    execution: Execution = "auto",
    memory: int | None = None,
    native: bool = False,
    **job: Any,
) -> PlannedJob:
    """Checks the program against the loop on three batches, and chooses.

    memory: bytes that the process may hold. native: whether there are runs enough to compile native code for, which is
    then taken without timing wherever it agrees with the loop. Raises `InputError` if the model itself does not run,
    if the memory is too small for one run per worker, or if `execution="population"` is impossible.
    """
    whole, models = inspect(Job(workload, device, frozenset(), **job), seed, resettable=execution == "population")
    workers = 1 if whole.shared_state else workers
    reason = _unchecked(whole, execution, memory)
    names = ("grouped", "unfolded") if has_convolutions(models.tracing) else ("",)
    names = names[:1] if reason else names
    programs, usable, not_native = dict[str, Programs](), dict[str, GradientProgram](), ""
    if native and not reason:
        programs, usable, not_native = natively(whole, models, seed)
    if not usable:
        programs = {name: programs_of(whole, models.tracing, name) for name in names}
        usable, reason = ({}, reason) if reason else verified(whole, _shared(programs), models, seed)
    for each in programs.values():
        each.mixed.keep(each.shared.key)
    holds = {name: needs.member(whole, usable[name].activations if name in usable else 0) for name in programs}
    rooms = {name: usable[name].workspace_bytes if name in usable else 0 for name in programs}
    widths = {
        name: needs.width(whole, workers, holds[name], memory, models.bytes, rooms[name]) for name in usable or programs
    }
    name, fallback = next(iter(widths)), bool(reason) and reason not in ("asked for", whole.large)
    if usable and NATIVE not in usable and (execution == "auto" or len(usable) > 1):
        name, slower = quickest(whole, usable, models, seed, min(widths.values()))
        reason = slower if execution == "auto" else ""
    if execution == "population" and reason:
        raise InputError(f"The workload {workload.name!r} cannot train as a population: {reason}; use the loop.")
    width = 1 if reason else widths[name]
    evaluation = evaluation_bytes(whole, width) + (0 if reason else rooms[name])
    slow = unreached(whole.device)
    plan = Plan(
        reason, width, workers, name, holds[name], evaluation, fallback, slow, not_native, library_of(programs[name])
    )
    return PlannedJob(whole, plan, programs[name], models)


def _unchecked(job: Job, execution: Execution, memory: int | None) -> str:
    """Why the loop is used without checking the program, where that costs more than a population gains; else empty."""
    if execution == "loop":
        return "asked for"
    if job.only_loop or execution == "population":
        return job.only_loop
    return job.large or needs.no_room_to_check(job, memory)


def plan_as_recorded(
    workload: Workload, seed: int, recorded: Mapping[str, Any], *, device: torch.device, **job: Any
) -> PlannedJob:
    """The plan that a record describes, without checks or timing. Raises `InputError` as `plan_job`."""
    whole, models = inspect(Job(workload, device, frozenset(), **job), seed)
    program = recorded.get("program", recorded.get("convolutions", ""))
    facts = (recorded["reason"], recorded["width"], recorded["workers"], program)
    takes = (recorded["bytes_per_run"], recorded.get("bytes_evaluating", 0))
    plan = Plan(*facts, *takes, updates=unreached(device), products=recorded.get("products", ""))
    return PlannedJob(whole, plan, programs_of(whole, models.tracing, plan.program, plan.products), models)


def planned_elsewhere(job: Job, plan: Plan, seed: int) -> PlannedJob:
    """A planned job that came from another process, with programs of this one. seed: of the model that is traced."""
    tracing = build(job.workload, seed, job.device)
    return PlannedJob(job, plan, programs_of(job, tracing, plan.program, plan.products))


def _shared(programs: Mapping[str, Programs]) -> dict[str, GradientProgram]:
    return {name: of.shared for name, of in programs.items()}
