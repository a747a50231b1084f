"""Trains the configurations of a study and records the runs."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.errors import InputError
from thalweg.population.engine.train import Measured, train
from thalweg.population.planning.plan import Plan
from thalweg.population.updates.members import Member, Trained
from thalweg.records.types import Role, Round, RunRecord
from thalweg.studies.contenders import Contender
from thalweg.studies.persistence import Keeping, plain
from thalweg.studies.progress import Observer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSpec:
    """One configuration of one contender with one seed, to be trained."""

    contender: Contender
    given: Mapping[str, Any]
    seed: int
    role: Role
    round: Round

    @property
    def member(self) -> Member:
        return Member(self.contender.recipe, self.contender.recipe.resolve(self.given), self.seed)


def train_entries(
    plan: Plan, entries: Sequence[RunSpec], stage: str, first: int, keeping: Keeping, show: Observer
) -> list[RunRecord]:
    """Trains the entries that `keeping` does not store yet; `keeping` receives runs as they finish.

    first: index of the first entry in the study's sequence of runs. Returns the runs in the entries' order.

    Raises:
        InputError: where a stored run does not match the entry at its index.
    """
    measurements = len(plan.job.workload.milestones)
    show.stage(stage, len(entries), plan.job.workload.total_steps, measurements)
    runs = {i: keeping.done[first + i] for i in range(len(entries)) if first + i in keeping.done}
    for i, run in runs.items():
        _check(entries[i], run, first + i)
    if runs:
        show.advance(len(runs) * measurements)
        logger.debug("%d of them had finished before", len(runs))
    checkpoints = keeping.checkpoints(first)
    events = train(plan, [entry.member for entry in entries], runs, checkpoints)
    try:
        for event in events:
            if isinstance(event, Measured):
                show.advance(event.runs)
                continue
            finished = {i: _record(plan, entries[i], trained) for i, trained in event.outcomes.items()}
            keeping.keep({first + i: run for i, run in finished.items()})
            checkpoints.of(finished, ()).discard()
            runs |= finished
    finally:
        events.close()
    return [runs[i] for i in range(len(entries))]


def _check(entry: RunSpec, run: RunRecord, place: int) -> None:
    asked = (entry.contender.label, entry.seed, entry.role, entry.round, plain(entry.given))
    if asked != (run.contender, run.seed, run.role, run.round, plain(run.hyperparameters)):
        raise InputError(
            f"Run {place} of the study is of {run.contender} with seed {run.seed}, but {asked[0]} with seed {asked[1]}"
            " comes at that place now: something it depends on has changed; begin the study anew."
        )


def _record(plan: Plan, entry: RunSpec, trained: Trained) -> RunRecord:
    return RunRecord(
        contender=entry.contender.label,
        factors=entry.contender.factors,
        hyperparameters=dict(entry.given),
        rate=entry.contender.recipe.rate,
        seed=entry.seed,
        role=entry.role,
        round=entry.round,
        curve=trained.curve,
        steps=plan.job.workload.total_steps,
        initial_loss=trained.initial_loss,
        initial_validation_loss=trained.initial_validation_loss,
        loss_spread=trained.loss_spread,
        train_metric=trained.train_metric,
        test_metric=trained.test_metric,
        best_test_metric=trained.best_test_metric,
        diverged_at=trained.diverged_at,
        seconds=trained.seconds,
        evaluations=trained.evaluations,
        memory=trained.memory,
        execution=trained.execution,
        failure=trained.failure,
        stopped_at=trained.stopped_at,
        restored_from=trained.restored_from,
    )
