"""Costs of training: steps, epochs and seconds to the target, time and memory per run, and the tuning budget used."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from thalweg.records.types import RunRecord, StudyRecord


@dataclass(frozen=True)
class Target:
    """Medians to reach the study's target, over the `reached` of `runs` final runs that reach it.

    `None` where none does or the study has no target; seconds also where runs trained together in one program.
    """

    steps: float | None
    epochs: float | None
    seconds: float | None
    reached: int
    runs: int


@dataclass(frozen=True)
class Cost:
    """seconds_per_step: median over a contender's runs; `None` where one trained with other runs in one program, whose
    steps are no optimizer's own. memory: bytes, maximum over its runs; 0 where unknown. shared: whether one did.
    """

    seconds_per_step: float | None
    memory: int
    shared: bool = False


@dataclass(frozen=True)
class Spent:
    """Tuning cost of one contender. seconds: its runs' shares of the programs that they trained in.

    An `unspent_…` field is the cap minus the use, `None` where there is no cap.
    """

    runs: int
    evaluations: int  # of a batch, forward and backward; a run that did not finish took fewer than planned
    seconds: float
    unspent_runs: float | None
    unspent_evaluations: float | None
    unspent_seconds: float | None


def steps_to_target(run: RunRecord, study: StudyRecord) -> int | None:
    """Steps until the first measurement whose metric reaches the study's target; `None` where none does."""
    if study.target is None:
        return None
    sign = 1 if study.higher_is_better else -1
    for measured in run.curve:
        value = measured.validation_metric
        if value is not None and sign * value >= sign * study.target:
            return measured.step
    return None


def target(study: StudyRecord, finals: Sequence[RunRecord]) -> Target:
    """Medians to reach the target over the final runs; seconds assume that all steps of a run take equally long."""
    there = [(run, step) for run in finals if (step := steps_to_target(run, study)) is not None]
    if not there:
        return Target(None, None, None, 0, len(finals))
    steps = statistics.median(step for _, step in there)
    shared = any(run.shared for run in finals)
    seconds = None if shared else statistics.median(s / max(s, run.ended_at) * run.seconds for run, s in there)
    return Target(steps, steps / study.steps_per_epoch, seconds, len(there), len(finals))


def cost(runs: Sequence[RunRecord]) -> Cost:
    """Time per step over the runs that trained at least one step, and peak memory over all runs."""
    shared = any(run.shared for run in runs)
    paces = [] if shared else [run.seconds / steps for run in runs if (steps := run.ended_at) and run.seconds > 0]
    return Cost(statistics.median(paces) if paces else None, max((run.memory for run in runs), default=0), shared)


def cap_of(study: StudyRecord, name: str) -> float | None:
    """A study's tuning cap of "runs", "evaluations" or "seconds"; before protocol 4, when none took more, of steps."""
    return study.caps.get(name, study.caps.get("steps") if name == "evaluations" else None)


def spent(study: StudyRecord, runs: Sequence[RunRecord]) -> Spent:
    """Totals over a contender's tuning runs, compared with the study's caps."""
    tuning = [run for run in runs if run.role == "tuning"]
    each = (run.ended_at if run.evaluations is None else run.evaluations for run in tuning)
    evaluations, seconds = sum(each), sum(run.seconds for run in tuning)

    def rest(name: str, taken: float) -> float | None:
        cap = cap_of(study, name)
        return None if cap is None else cap - taken

    return Spent(
        runs=len(tuning),
        evaluations=evaluations,
        seconds=seconds,
        unspent_runs=rest("runs", len(tuning)),
        unspent_evaluations=rest("evaluations", evaluations),
        unspent_seconds=rest("seconds", seconds),
    )
