"""How a workload's runs will be executed, decided once before training: together or by the loop, how many at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any, Literal

import torch

from thalweg.errors import InputError
from thalweg.population import memory as needs
from thalweg.population.alone import gradients_of
from thalweg.population.gradients import GradientProgram
from thalweg.population.job import Job, users_fault
from thalweg.population.members import Member
from thalweg.population.models import build
from thalweg.population.randomness import SeededRandomness
from thalweg.population.verification import disagreement, first_batches, slower
from thalweg.workloads.workload import Workload

Execution = Literal["auto", "population", "loop"]
FEW = 24  # members of one seed below which seeds share a population: a narrow one costs more than batches of its own
LEAST = 4  # members that a population is not cut below to busy another worker


@dataclass(frozen=True)
class Plan:
    """`reason` says why the loop is used; empty where members train together. `member`: bytes that each holds."""

    job: Job
    shared: GradientProgram
    mixed: GradientProgram
    reason: str
    width: int
    workers: int
    member: int = 0

    def memory(self, runs: int) -> int:
        """Bytes that so many runs hold at once."""
        return min(runs, self.width * self.workers) * self.member

    def describe(self) -> dict[str, Any]:
        how = "loop" if self.reason else "population"
        chosen = {"execution": how, "reason": self.reason, "width": self.width, "workers": self.workers}
        return {**chosen, "bytes_per_run": self.member}

    def populations(self, members: Sequence[Member]) -> list[list[int]]:
        """Indices of the members that train together: of one seed where it has enough, grouped by structure."""
        if self.reason:
            return [[i] for i in range(len(members))]
        alone = [[i] for i, member in enumerate(members) if member.alone]
        stacked = [i for i, member in enumerate(members) if not member.alone]
        by_seed = [list(of) for _, of in groupby(_sorted(members, stacked), lambda i: members[i].seed)]
        if max(map(len, by_seed), default=0) < FEW:
            by_seed = [_sorted(members, stacked, by_seed=False)] if stacked else []
        return alone + [part for s in by_seed for part in _parts(s, self.width, self.workers, len(by_seed))]


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

    memory: bytes that the process may hold. Raises `InputError` where the model itself does not run, or the memory
    has no room for one run of each worker.
    """
    whole = _first_look(Job(workload, device, frozenset(), **job), seed)
    programs = [GradientProgram(workload, build(workload, seed, device), shared=shared) for shared in (True, False)]
    reason = "asked for" if execution == "loop" else disagreement(whole, programs[0], seed)
    if execution == "auto" and not reason:
        reason = slower(whole, programs[0], seed)
    if execution == "population" and reason:
        raise InputError(f"The workload {workload.name!r} cannot train as a population: {reason}; use the loop.")
    each = needs.member(whole, seed, 0 if reason else programs[0].activations)
    width = needs.width(whole, seed, workers, each, memory)
    return Plan(whole, programs[0], programs[1], reason, 1 if reason else width, workers, each)


def _first_look(job: Job, seed: int) -> Job:
    """One step of the user's own code, to see whether it runs, what it trains and whether it draws."""
    model, batch = build(job.workload, seed, job.device), first_batches(job.workload, 1)[0]
    try:
        with SeededRandomness(seed, 1) as draws:
            _, gradients = gradients_of(job, model, batch, seed, 1)
            model.eval()(*batch[0])
    except Exception as error:
        raise users_fault(job.workload, error) from error
    if not gradients:
        raise InputError(
            f"The loss of {job.workload.name!r} reaches no parameter of the model: nothing can be trained."
        )
    return replace(job, trained=frozenset(gradients), random=draws.sites > 0)


def _sorted(members: Sequence[Member], chosen: Sequence[int], *, by_seed: bool = True) -> list[int]:
    def key(i: int) -> tuple[Any, ...]:
        s = members[i].structure
        return (members[i].seed if by_seed else 0, s.rule.name, sorted(s.flags), sorted(s.absent), i)

    return sorted(chosen, key=key)


def _parts(of_seed: list[int], width: int, workers: int, seeds: int) -> list[list[int]]:
    """Equal parts of at most `width`, in a number that shares out among the workers unless they would get small."""
    count = -(-len(of_seed) // width)
    while count * seeds % workers and len(of_seed) >= LEAST * (count + 1):
        count += 1
    bounds = [round(k * len(of_seed) / count) for k in range(count + 1)]
    return [of_seed[a:b] for a, b in pairwise(bounds)]
