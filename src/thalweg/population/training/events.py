"""What happens at declared steps of training, between two intervals that an executor carries out."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, repeat
from operator import itemgetter
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from thalweg.population.training.executor import Executor
from thalweg.population.training.history import Floats, History
from thalweg.population.training.job import Job
from thalweg.population.training.penalties import NAME, RegularizationLosses
from thalweg.population.training.pieces import Scores
from thalweg.population.updates.members import Member
from thalweg.population.updates.snapshot import Snapshot
from thalweg.regularization.stopping import EarlyStopping, Patience

RELEASED = 0.75  # share of the members held below which those that ended are released


class Training(Protocol):
    """Training as an event sees it, after `step` steps. held: the executor's members, by index among all."""

    job: Job
    members: Sequence[Member]
    executor: Executor
    history: History
    held: NDArray[np.int64]
    step: int

    def everyone(self, values: ArrayLike) -> Floats:
        """Scatters values of the members held to `[all members]`, with NaN for the others."""

    def hold(self, index: NDArray[np.int64]) -> None:
        """Holds only the members at `index` among those held."""


class Event(Protocol):
    """Something that happens after some steps."""

    def steps(self, job: Job) -> Iterable[int]:
        """The steps after which it happens, ascending."""

    def happen(self, training: Training) -> None: ...

    def state(self) -> Snapshot: ...

    def restore(self, state: Snapshot) -> None: ...


class Measure:
    """Evaluates the validation split, and in confirmation runs the test split at the best measurement and the last.

    regularization: of members that have penalties, whose loss stands among the details.
    """

    def __init__(self, regularization: RegularizationLosses | None = None) -> None:
        self._regularization = regularization

    def steps(self, job: Job) -> Iterable[int]:
        return job.workload.milestones

    def happen(self, training: Training) -> None:
        workload, history, executor = training.job.workload, training.history, training.executor
        found = executor.measure(workload.validation, training.step, loss=True)
        scores = training.everyone(found.metrics), training.everyone(found.losses)
        improved = history.measure(training.step, *scores, self._details(training, found))
        last = training.step == workload.total_steps and None in rules_of(training.job, training.members)
        if training.job.test and workload.test is not None and (last or improved.any()):
            tested = executor.measure(workload.test, training.step)
            history.tested(training.everyone(tested.metrics), improved, self._details(training, tested))

    def _details(self, training: Training, found: Scores) -> list[dict[str, float]]:
        """The details of all members; empty for those that are not held."""
        details: list[dict[str, float]] = [{} for _ in training.members]
        for place, m in enumerate(training.held):
            details[m] = {**found.of(place), **self._penalties(training, place, int(m))}
        return details

    def _penalties(self, training: Training, place: int, member: int) -> dict[str, float]:
        """The regularization loss by its name, of the weights that are evaluated; empty for a member without."""
        if self._regularization is None or member not in self._regularization:
            return {}
        (weights,) = training.executor.copies([place])
        return {NAME: self._regularization.of(member, weights, training.step)}

    def state(self) -> Snapshot:
        return Snapshot()

    def restore(self, state: Snapshot) -> None:
        pass


def rules_of(job: Job, members: Sequence[Member]) -> list[EarlyStopping | None]:
    """When each member ends before its last step: its own rule, or the job's; `None` for neither."""
    return [job.early_stopping if member.early_stopping is None else member.early_stopping for member in members]


class StopEarly:
    """Ends members by `EarlyStopping`, those that have one; keeps the weights of each one's best measurement."""

    def __init__(self, rules: Sequence[EarlyStopping | None]) -> None:
        self.rules, self._so_far = rules, [Patience()] * len(rules)
        self.best: dict[int, dict[str, Tensor]] = {}
        self.train_metric: dict[int, float] = {}  # of the best weights, where they alone do not tell it

    def steps(self, job: Job) -> Iterable[int]:
        return job.workload.milestones

    def happen(self, training: Training) -> None:
        history, higher = training.history, training.job.workload.metric.maximized
        self._keep_best(training)
        for m in training.held[history.active[training.held]]:
            rule, metric = self.rules[m], history.measured[m][-1].validation_metric
            if rule is None:
                continue
            self._so_far[m] = rule.after(self._so_far[m], metric, higher_is_better=higher)
            if rule.ends(self._so_far[m]) and training.step < training.job.workload.total_steps:
                history.stop(m, training.step)

    def _keep_best(self, training: Training) -> None:
        history, executor = training.history, training.executor
        held = [(i, m) for i, m in enumerate(training.held) if self.rules[m] is not None]
        places = [i for i, m in held if history.active[m] and history.best_at[m] == training.step]
        if not places:
            return
        self.best.update(zip(training.held[places].tolist(), executor.copies(places), strict=True))
        if not executor.replays:
            metrics = executor.measure(training.job.workload.train, training.job.workload.total_steps).metrics
            self.train_metric.update({int(training.held[place]): metrics[place] for place in places})

    def state(self) -> Snapshot:
        tensors = {f"{m}/{name}": tensor for m, of in self.best.items() for name, tensor in of.items()}
        return Snapshot(
            tensors, {"so_far": [list(p) for p in self._so_far], "train_metric": [*self.train_metric.items()]}
        )

    def restore(self, state: Snapshot) -> None:
        self._so_far = [Patience(*p) for p in state.facts["so_far"]]
        self.train_metric = dict(state.facts["train_metric"])
        self.best = {}
        for name, tensor in state.tensors.items():
            m, _, of = name.partition("/")
            self.best.setdefault(int(m), {})[of] = tensor


class KeepSnapshots:
    """Keeps copies of the weights after declared steps: member → step → parameters and buffers by name."""

    def __init__(self) -> None:
        self.kept: dict[int, dict[int, dict[str, Tensor]]] = {}

    def steps(self, job: Job) -> Iterable[int]:
        return job.snapshots

    def happen(self, training: Training) -> None:
        places = [i for i, m in enumerate(training.held) if training.history.active[m]]
        for place, copies in zip(places, training.executor.copies(places), strict=True):
            self.kept.setdefault(int(training.held[place]), {})[training.step] = copies

    def state(self) -> Snapshot:
        kept = ((m, step, of) for m, steps in self.kept.items() for step, of in steps.items())
        return Snapshot({f"{m}/{step}/{name}": tensor for m, step, of in kept for name, tensor in of.items()})

    def restore(self, state: Snapshot) -> None:
        self.kept = {}
        for name, tensor in state.tensors.items():
            m, step, of = name.split("/", 2)
            self.kept.setdefault(int(m), {}).setdefault(int(step), {})[of] = tensor


class Release:
    """Frees the memory of members that ended, once they are a quarter of those held."""

    def steps(self, job: Job) -> Iterable[int]:
        return job.workload.milestones

    def happen(self, training: Training) -> None:
        going = np.flatnonzero(training.history.active[training.held])
        if len(going) <= RELEASED * len(training.held):
            training.hold(going)

    def state(self) -> Snapshot:
        return Snapshot()

    def restore(self, state: Snapshot) -> None:
        pass


def in_order(events: Sequence[Event], job: Job) -> Iterator[tuple[int, list[Event]]]:
    """The steps at which any event happens, ascending, each with its events in their order."""
    each = heapq.merge(*(zip(event.steps(job), repeat(i)) for i, event in enumerate(events)))
    for step, of_step in groupby(each, key=itemgetter(0)):
        yield step, [events[i] for _, i in of_step]
