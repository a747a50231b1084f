"""A study from beginning to end: tune, select, confirm on fresh seeds beside the defaults."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from thalweg.analysis.leaderboard import choices
from thalweg.analysis.selection import Choice
from thalweg.population.members import Member, Trained
from thalweg.population.models import build
from thalweg.population.plan import Plan
from thalweg.population.train import Progress, train
from thalweg.records.types import Role, RunRecord, StudyRecord
from thalweg.studies.contenders import Contender
from thalweg.studies.environment import environment
from thalweg.studies.progress import Observer
from thalweg.studies.protocol import PROTOCOL, confirmation_seeds, tuning_seeds
from thalweg.workloads.workload import Workload

Keep = Callable[[Sequence[RunRecord]], None]


@dataclass(frozen=True)
class Design:
    """What a study compares and how often."""

    contenders: Sequence[Contender]
    learning_rates: tuple[float, ...] | None
    seeds: int
    confirm_seeds: int
    base_seed: int


@dataclass(frozen=True)
class _Entry:
    """One configuration of one contender, to be trained with one seed."""

    contender: Contender
    given: Mapping[str, Any]
    seed: int
    role: Role

    @property
    def member(self) -> Member:
        return Member(self.contender.recipe, self.contender.recipe.resolve(self.given), self.seed)

    @property
    def learning_rate(self) -> float | None:
        rate = self.contender.recipe.rule.rate
        return None if rate is None else float(self.given[rate])


def describe(design: Design, workload: Workload, plan: Plan) -> StudyRecord:
    """The study's record, before it begins."""
    model = build(workload, design.base_seed, torch.device("cpu"))
    splits = {"train": workload.train, "validation": workload.validation, "test": workload.test}
    return StudyRecord(
        workload=workload.name,
        metric=workload.metric.name,
        higher_is_better=workload.metric.higher_is_better,
        target=workload.target,
        epochs=workload.epochs,
        batch_size=workload.batch_size,
        samples={name: len(split) for name, split in splits.items() if split is not None},
        parameters=sum(p.numel() for p in model.parameters()),
        contenders=tuple(c.label for c in design.contenders),
        learning_rates={c.label: c.rates(design.learning_rates) for c in design.contenders},
        tuning_seeds=tuning_seeds(design.base_seed, design.seeds),
        confirmation_seeds=confirmation_seeds(design.base_seed, design.confirm_seeds),
        protocol=PROTOCOL,
        environment=environment(plan.job.device),
        plan=plan.describe(),
    )


def run(
    design: Design, study: StudyRecord, plan: Plan, keep: Keep, select: Callable[[dict[str, Any]], None], show: Observer
) -> list[RunRecord]:
    """Trains all of a study. `keep` receives runs as they finish; `select` the choices, before any test metric."""
    tuning = [
        _Entry(contender, given, seed, "tuning")
        for seed in study.tuning_seeds
        for contender in design.contenders
        for given in contender.configurations(design.learning_rates)
    ]
    runs = _train(plan, tuning, "tuning", keep, show)
    if not study.confirmation_seeds:
        return runs
    chosen = choices(study, runs)
    select({name: dict(choice.point.hyperparameters) if choice else None for name, choice in chosen.items()})
    final = replace(plan, job=replace(plan.job, test=True))
    return runs + _train(final, _final_entries(design, study, chosen), "confirmation", keep, show)


def _final_entries(design: Design, study: StudyRecord, chosen: Mapping[str, Choice | None]) -> list[_Entry]:
    entries = []
    for seed in study.confirmation_seeds:
        for contender in design.contenders:
            choice = chosen[contender.label]
            if choice is not None:
                entries.append(_Entry(contender, choice.point.hyperparameters, seed, "confirmation"))
            entries.append(_Entry(contender, _published(contender), seed, "defaults"))
    return entries


def _published(contender: Contender) -> dict[str, Any]:
    rate = contender.recipe.rule.rate
    return {} if rate is None else {rate: contender.recipe.defaults[rate]}


def _train(plan: Plan, entries: Sequence[_Entry], stage: str, keep: Keep, show: Observer) -> list[RunRecord]:
    show.stage(stage, len(entries), plan.job.workload.epochs)
    runs: list[RunRecord] = []
    events = train(plan, [entry.member for entry in entries])
    try:
        for event in events:
            if isinstance(event, Progress):
                show.advance(event.runs)
            else:
                finished = [_record(plan, entries[i], trained) for i, trained in sorted(event.outcomes.items())]
                keep(finished)
                runs += finished
    finally:
        events.close()
    return runs


def _record(plan: Plan, entry: _Entry, trained: Trained) -> RunRecord:
    return RunRecord(
        contender=entry.contender.label,
        optimizer=entry.contender.recipe.name,
        hyperparameters=dict(entry.given),
        learning_rate=entry.learning_rate,
        seed=entry.seed,
        role=entry.role,
        epochs=trained.epochs,
        steps_per_epoch=plan.job.workload.steps_per_epoch,
        initial_loss=trained.initial_loss,
        train_metric=trained.train_metric,
        test_metric=trained.test_metric,
        best_test_metric=trained.best_test_metric,
        diverged_at=trained.diverged_at,
        seconds=trained.seconds,
        execution=trained.execution,
    )
