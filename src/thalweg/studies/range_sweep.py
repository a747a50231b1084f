"""Range tests: short runs whose learning rate rises exponentially, of all optimizers and seeds in one population."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from thalweg.analysis.range_curve import RangeCurve, as_losses, swept_rates
from thalweg.errors import InputError
from thalweg.population.engine.task import MembersFinished
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.imported import Imported
from thalweg.schedules import Schedule
from thalweg.schedules.schedule import Formula
from thalweg.studies.contenders import Contender
from thalweg.studies.jobs import Jobs
from thalweg.workloads.workload import Workload

STEPS = 300
BEYOND = 10.0
"""Factor by which a sweep goes beyond both ends of the rates worth searching."""


def sweep(jobs: Jobs, contenders: Sequence[Contender], seeds: Sequence[int]) -> dict[str, RangeCurve]:
    """Sweeps the learning rates of contenders whose rate is tuned; returns their curves by label.

    A run ends where it diverges. Raises `InputError` where no run of a model can be trained.
    """
    parts = jobs.parts(contenders)
    return {label: curve for planned, own in parts for label, curve in _swept(planned, own, seeds).items()}


def _swept(planned: PlannedJob, contenders: Sequence[Contender], seeds: Sequence[int]) -> dict[str, RangeCurve]:
    of = {c.label: _rates(c) for c in contenders if c.has_own_grid}
    members = [_member(c, of[c.label], seed) for c in contenders if c.label in of for seed in seeds]
    job = replace(planned.job, workload=_short(planned, STEPS), keep_losses=True, early_stopping=None)
    runs = outcomes(replace(planned, job=job), members)
    require_trained(planned, runs)
    each = [runs[i : i + len(seeds)] for i in range(0, len(runs), len(seeds))]
    return {label: _curve(rates, group) for (label, rates), group in zip(of.items(), each, strict=True)}


def _curve(rates: tuple[float, float], runs: Sequence[Trained]) -> RangeCurve:
    failure = runs[0].failure if all(run.failure for run in runs) else ""
    return RangeCurve(swept_rates(*rates, STEPS), as_losses([run.losses for run in runs], STEPS), failure)


def shortened(planned: PlannedJob, steps: int) -> PlannedJob:
    """The same job with runs of so many steps, measured at their end only, never stopped early."""
    return replace(planned, job=replace(planned.job, workload=_short(planned, steps), early_stopping=None))


def outcomes(planned: PlannedJob, members: Sequence[Member]) -> list[Trained]:
    """Trains all members to their last step; returns their results in order."""
    members = [replace(member, early_stopping=None) for member in members]
    found: dict[int, Trained] = {}
    with closing(train(planned, members)) as events:
        for event in events:
            if isinstance(event, MembersFinished):
                found |= event.outcomes
    return [found[i] for i in range(len(members))]


def require_trained(planned: PlannedJob, runs: Sequence[Trained]) -> None:
    """Raises `InputError` where all runs failed by an exception."""
    if runs and all(run.failure for run in runs):
        raise InputError(f"The workload {planned.job.workload.name!r} cannot be trained: {runs[0].failure}.")


def _short(planned: PlannedJob, steps: int) -> Workload:
    return replace(planned.job.workload, steps=steps, evaluate_every=steps)


def _rates(contender: Contender) -> tuple[float, float]:
    low, high = contender.recipe.rates
    return low / BEYOND, high * BEYOND


def _member(contender: Contender, rates: tuple[float, float], seed: int) -> Member:
    """A run whose rate rises from the first to the second, in equal ratios, and stays there."""
    low, high = rates
    rate = contender.recipe.rate
    assert rate is not None
    rising = Schedule("range_test", low, STEPS - 1, {}, Formula(_rising, {"low": low, "high": high}))
    values = contender.recipe.resolve({**contender.fixed, rate: low})
    initial = [] if isinstance(contender.recipe, Imported) else _initial(contender.recipe, rate)
    return Member(contender.recipe, {**values, **dict.fromkeys((rate, *initial), rising)}, seed)


def _initial(recipe: Recipe, rate: str) -> list[str]:
    """The hyperparameters that are the rate at the start, by which AdaBound scales its bounds: here the rate of the
    step, as in a run at that rate."""
    return [name for name, h in recipe.hyperparameters.items() if h.initially == rate]


def _rising(t: Any, low: float, high: float) -> float:
    return float(low * (high / low) ** (min(t, STEPS - 1) / (STEPS - 1)))
