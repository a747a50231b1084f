"""Trains the configurations of a study and records the runs."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from thalweg.errors import InputError
from thalweg.population.engine.task import NOWHERE, MembersMeasured
from thalweg.population.engine.threads import Threads
from thalweg.population.engine.train import Engine, train
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.job import Job
from thalweg.population.updates.members import Member, Trained
from thalweg.records.events import Finished, Listener, Measured, PlannedRun, StageBegan
from thalweg.records.types import Role, Round, RunRecord
from thalweg.studies.contenders import Contender
from thalweg.studies.jobs import Jobs
from thalweg.studies.persistence import plain
from thalweg.workloads.workload import Workload

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSpec:
    """One configuration of one contender with one seed, to be trained."""

    contender: Contender
    given: Mapping[str, Any]
    seed: int
    role: Role
    round: Round

    def member(self, workload: Workload) -> Member:
        """The run on a workload."""
        return self.contender.member(self.given, self.seed, workload)

    def planned(self, *, alone: bool) -> PlannedRun:
        """The run as those who watch are told of it."""
        rate = self.contender.recipe.rate
        return PlannedRun(self.contender.label, self.given, rate, self.seed, self.role, self.round, alone)


@dataclass(frozen=True)
class Trainer:
    """Trains runs by an engine and tells what happens.

    earlier: runs of former sessions, which it does not train. keep: receives a run's position and result before the run
    is told to have finished, so that what it stores of the weights is there for every run that has.
    """

    earlier: Mapping[int, RunRecord]
    tell: Listener
    checkpoints: Checkpoints = NOWHERE
    engine: Engine = Threads
    keep: Callable[[int, Trained], None] | None = None

    def train(self, jobs: Jobs, entries: Sequence[RunSpec], stage: str, first: int) -> list[RunRecord]:
        """Trains a stage, the runs of each model at once; returns its runs in the entries' order.

        first: position of the first entry in the study.

        Raises:
            InputError: where an earlier run does not match the entry at its position.
        """
        members = [entry.member(jobs.of(entry.contender).job.workload) for entry in entries]
        foreseen = tuple(e.planned(alone=bool(m.alone)) for e, m in zip(entries, members, strict=True))
        self.tell(StageBegan(stage, first, len(entries), jobs.first.job.workload.total_steps, foreseen))
        runs = self._known(entries, first)
        for model, planned in jobs.by_model.items():
            chosen = tuple(i for i, entry in enumerate(entries) if entry.contender.trains == model)
            self._train(planned, entries, members, chosen, first, runs)
        return [runs[i] for i in range(len(entries))]

    def _train(
        self,
        planned: PlannedJob,
        entries: Sequence[RunSpec],
        members: Sequence[Member],
        chosen: tuple[int, ...],
        first: int,
        runs: dict[int, RunRecord],
    ) -> None:
        """Trains the entries that are chosen, by index, and adds them to the runs."""
        done = {i for i, entry in enumerate(chosen) if entry in runs}
        checkpoints = replace(self.checkpoints, first=first, chosen=chosen)
        with closing(train(planned, [members[i] for i in chosen], done, checkpoints, engine=self.engine)) as events:
            for event in events:
                if isinstance(event, MembersMeasured):
                    self.tell(Measured(event.step, {first + chosen[i]: m for i, m in event.measurements.items()}))
                    continue
                if self.keep is not None:
                    for i, trained in event.outcomes.items():
                        self.keep(first + chosen[i], trained)
                outcomes = {chosen[i]: trained for i, trained in event.outcomes.items()}
                finished = {i: _record(planned.job, entries[i], trained) for i, trained in outcomes.items()}
                self.tell(Finished({first + i: run for i, run in finished.items()}))
                checkpoints.of(event.outcomes, ()).discard()
                runs |= finished

    def _known(self, entries: Sequence[RunSpec], first: int) -> dict[int, RunRecord]:
        """The stage's runs that finished in former sessions, by index among the entries."""
        runs = {i: self.earlier[first + i] for i in range(len(entries)) if first + i in self.earlier}
        for i, run in runs.items():
            _check(entries[i], run, first + i)
        if runs:
            self.tell(Finished({first + i: run for i, run in runs.items()}, earlier=True))
            logger.debug("%d of them had finished before", len(runs))
        return runs


def _check(entry: RunSpec, run: RunRecord, place: int) -> None:
    asked = (entry.contender.label, entry.seed, entry.role, entry.round, plain(entry.given))
    found = (run.contender, run.seed, run.role, run.round, plain(run.hyperparameters))
    if plain(entry.contender.factors) != plain(run.factors):
        raise InputError(
            f"Run {place} of the study, of {run.contender}, was of {dict(run.factors)}, and is of"
            f" {entry.contender.factors} now: begin the study anew."
        )
    if asked != found:
        raise InputError(
            f"Run {place} of the study is of {run.contender} with seed {run.seed}, but {asked[0]} with seed {asked[1]}"
            " comes at that place now: something it depends on has changed; begin the study anew."
        )


def _record(job: Job, entry: RunSpec, trained: Trained) -> RunRecord:
    return RunRecord(
        contender=entry.contender.label,
        factors=entry.contender.factors,
        hyperparameters=dict(entry.given),
        rate=entry.contender.recipe.rate,
        seed=entry.seed,
        role=entry.role,
        round=entry.round,
        curve=trained.curve,
        steps=job.workload.total_steps,
        initial_loss=trained.initial_loss,
        initial_validation_loss=trained.initial_validation_loss,
        loss_spread=trained.loss_spread,
        train_metric=trained.train_metric,
        test_metric=trained.test_metric,
        best_test_metric=trained.best_test_metric,
        test_details=trained.test_details,
        diverged_at=trained.diverged_at,
        seconds=trained.seconds,
        evaluations=trained.evaluations,
        memory=trained.memory,
        execution=trained.execution,
        failure=trained.failure,
        stopped_at=trained.stopped_at,
        restored_from=trained.restored_from,
    )
