"""Training the configurations that a study asks for, and their records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.population.members import Member, Trained
from thalweg.population.plan import Plan
from thalweg.population.train import Progress, train
from thalweg.records.types import Role, Round, RunRecord
from thalweg.studies.contenders import Contender
from thalweg.studies.progress import Observer

Keep = Callable[[Sequence[RunRecord]], None]


@dataclass(frozen=True)
class Entry:
    """One configuration of one contender, to be trained with one seed."""

    contender: Contender
    given: Mapping[str, Any]
    seed: int
    role: Role
    round: Round

    @property
    def member(self) -> Member:
        return Member(self.contender.recipe, self.contender.recipe.resolve(self.given), self.seed)

    @property
    def learning_rate(self) -> float | None:
        rate = self.contender.recipe.rate
        value = self.given.get(rate, self.contender.recipe.defaults.get(rate)) if rate else None
        return None if value is None else float(value)


def train_entries(plan: Plan, entries: Sequence[Entry], stage: str, keep: Keep, show: Observer) -> list[RunRecord]:
    """Trains them all; `keep` receives runs as they finish."""
    show.stage(stage, len(entries), plan.job.workload.total_steps, len(plan.job.workload.milestones))
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


def _record(plan: Plan, entry: Entry, trained: Trained) -> RunRecord:
    return RunRecord(
        contender=entry.contender.label,
        optimizer=entry.contender.recipe.name,
        hyperparameters=dict(entry.given),
        learning_rate=entry.learning_rate,
        seed=entry.seed,
        role=entry.role,
        round=entry.round,
        curve=trained.curve,
        steps=plan.job.workload.total_steps,
        initial_loss=trained.initial_loss,
        train_metric=trained.train_metric,
        test_metric=trained.test_metric,
        best_test_metric=trained.best_test_metric,
        diverged_at=trained.diverged_at,
        seconds=trained.seconds,
        memory=trained.memory,
        execution=trained.execution,
        failure=trained.failure,
    )
