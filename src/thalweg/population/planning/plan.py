"""How a workload's runs are executed, decided once before training: vectorized or by the loop, how many at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Literal

import torch

from thalweg.errors import InputError
from thalweg.execution.dispatch import unreached
from thalweg.population.planning import memory as needs
from thalweg.population.planning.backend import quickest, verified
from thalweg.population.planning.inspection import inspect
from thalweg.population.program.convolutions import has_convolutions
from thalweg.population.program.gradients import GradientProgram
from thalweg.population.program.trial_models import TrialModels
from thalweg.population.training.evaluation import evaluation_bytes
from thalweg.population.training.job import Job
from thalweg.population.updates.members import Member
from thalweg.workloads.workload import Workload

Execution = Literal["auto", "population", "loop"]
FEW = 24  # members of one seed below which seeds share a population: narrowness costs more than separate batches
LEAST = 4  # members below which a population is not split to occupy another worker


@dataclass(frozen=True)
class Plan:
    """Programs, widths and memory of the chosen execution. `reason`: why the loop is used; empty if vectorized.

    `shared` and `mixed`: programs for one batch of all members and for a batch each. `width`: members at once on each
    worker. `convolutions`: their vectorized form, "grouped" or "unfolded"; empty if the model has none. `member`:
    bytes per member. `evaluation`: bytes per evaluating worker. `fallback`: whether a population was impossible, not
    just slower. `models`: for trials and timings until training begins.
    """

    job: Job
    shared: GradientProgram
    mixed: GradientProgram
    reason: str
    width: int
    workers: int
    convolutions: str = ""
    member: int = 0
    evaluation: int = 0
    fallback: bool = False
    models: TrialModels | None = None

    @property
    def why_loop(self) -> str:
        """Why the loop is used, by the plan or after a `Disagreement`; else empty."""
        return self.reason or self.shared.distrusted or self.mixed.distrusted

    def distrust(self, reason: str) -> None:
        """Uses the loop for all training from here on."""
        self.shared.distrusted = self.mixed.distrusted = reason

    def memory(self, runs: int) -> int:
        """Peak bytes of `runs` runs."""
        return min(runs, self.width * self.workers) * self.member + min(runs, self.workers) * self.evaluation

    def describe(self) -> dict[str, Any]:
        how = "loop" if self.reason else "population"
        facts = {"execution": how, "reason": self.reason, "width": self.width, "workers": self.workers}
        if self.fallback:
            facts["fallback"] = self.reason
        convolutions = {"convolutions": self.convolutions} if self.convolutions and not self.reason else {}
        slow = unreached(self.job.device)
        updates = {"updates": f"in torch's operators: {slow}"} if slow else {}
        return {**facts, **convolutions, **updates, "bytes_per_run": self.member, "bytes_evaluating": self.evaluation}

    def populations(self, members: Sequence[Member]) -> list[list[int]]:
        """Indices of the members of each population: of one seed if any has `FEW`, grouped by step variant."""
        if self.why_loop:
            return [[i] for i in range(len(members))]
        alone = [[i] for i, member in enumerate(members) if member.alone]
        stacked = [i for i, member in enumerate(members) if not member.alone]
        rules = dict.fromkeys(members[i].structure.model_rule for i in stacked)
        for rule in rules:  # one that evaluates the model more often would make all others wait
            of_rule = [i for i in stacked if members[i].structure.model_rule is rule]
            by_seed = [list(of) for _, of in groupby(_sorted(members, of_rule), lambda i: members[i].seed)]
            if max(map(len, by_seed)) < FEW:
                by_seed = [_sorted(members, of_rule, by_seed=False)]
            alone += [part for s in by_seed for part in _parts(s, self.width, self.workers, len(by_seed))]
        return alone


def make_plan(
    workload: Workload,
    seed: int,
    *,
    device: torch.device,
    workers: int,
    execution: Execution = "auto",
    memory: int | None = None,
    **job: Any,
) -> Plan:
    """Checks the program against the loop on three batches, and chooses.

    memory: bytes that the process may hold. Raises `InputError` if the model itself does not run, if the memory is too
    small for one run per worker, or if `execution="population"` is impossible.
    """
    whole, models = inspect(Job(workload, device, frozenset(), **job), seed, resettable=execution == "population")
    workers = 1 if whole.shared_state else workers
    reason = _unchecked(whole, execution, memory)
    names = ("grouped", "unfolded") if has_convolutions(models.tracing) else ("",)
    names = names[:1] if reason else names
    programs = {name: _programs(whole, models, unfolded=name == "unfolded") for name in names}
    usable, reason = ({}, reason) if reason else verified(whole, _shared(programs), models, seed)
    for shared, mixed in programs.values():
        mixed.keep(shared.key)
    holds = {name: needs.member(whole, usable[name].activations if name in usable else 0) for name in programs}
    widths = {name: needs.width(whole, workers, holds[name], memory, models.bytes) for name in usable or programs}
    name, fallback = next(iter(widths)), bool(reason) and reason not in ("asked for", whole.large)
    if usable and (execution == "auto" or len(usable) > 1):
        name, slower = quickest(whole, usable, models, seed, min(widths.values()))
        reason = slower if execution == "auto" else ""
    if execution == "population" and reason:
        raise InputError(f"The workload {workload.name!r} cannot train as a population: {reason}; use the loop.")
    width = 1 if reason else widths[name]
    evaluation = evaluation_bytes(whole, width)
    return Plan(whole, *programs[name], reason, width, workers, name, holds[name], evaluation, fallback, models)


def _unchecked(job: Job, execution: Execution, memory: int | None) -> str:
    """Why the loop is used without checking the program, where that costs more than a population gains; else empty."""
    if execution == "loop":
        return "asked for"
    if job.only_loop or execution == "population":
        return job.only_loop
    return job.large or needs.no_room_to_check(job, memory)


def remade(workload: Workload, seed: int, recorded: Mapping[str, Any], *, device: torch.device, **job: Any) -> Plan:
    """The plan that a record describes, without checks or timing. Raises `InputError` as `make_plan`."""
    whole, models = inspect(Job(workload, device, frozenset(), **job), seed)
    name = recorded.get("convolutions", "")
    programs = _programs(whole, models, unfolded=name == "unfolded")
    facts = (recorded["reason"], recorded["width"], recorded["workers"])
    return Plan(whole, *programs, *facts, name, recorded["bytes_per_run"], recorded.get("bytes_evaluating", 0))


def _shared(programs: Mapping[str, tuple[GradientProgram, GradientProgram]]) -> dict[str, GradientProgram]:
    return {name: shared for name, (shared, _) in programs.items()}


def _programs(job: Job, models: TrialModels, *, unfolded: bool) -> tuple[GradientProgram, GradientProgram]:
    """Programs (shared, mixed): one batch for all members, and a batch for each member. Neither is traced yet."""
    shared, mixed = (GradientProgram(job.workload, models.tracing, shared=s, unfolded=unfolded) for s in (True, False))
    return shared, mixed


def _sorted(members: Sequence[Member], chosen: Sequence[int], *, by_seed: bool = True) -> list[int]:
    def key(i: int) -> tuple[Any, ...]:
        s = members[i].structure
        return (members[i].seed if by_seed else 0, s.rule.name, s.convention, sorted(s.flags), sorted(s.absent), i)

    return sorted(chosen, key=key)


def _parts(of_seed: list[int], width: int, workers: int, seeds: int) -> list[list[int]]:
    """Equal parts of at most `width`; over all seeds a multiple of `workers`, unless parts would fall below `LEAST`."""
    count = -(-len(of_seed) // width)
    while count * seeds % workers and len(of_seed) >= LEAST * (count + 1):
        count += 1
    bounds = [round(k * len(of_seed) / count) for k in range(count + 1)]
    return [of_seed[a:b] for a, b in pairwise(bounds)]
