"""The training loop, one for all executors: intervals of steps, and the events between them."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from thalweg.population.training.events import Event, KeepSnapshots, Measure, Release, StopEarly, in_order, rules_of
from thalweg.population.training.executor import Executor
from thalweg.population.training.history import Floats, History
from thalweg.population.training.job import Job
from thalweg.population.training.penalties import RegularizationLosses
from thalweg.population.training.performance import Plateau, RateNow
from thalweg.population.training.pruning import Prune
from thalweg.population.training.stop import TrainingControl
from thalweg.population.updates.members import Member, Trained
from thalweg.population.updates.parts import Mask
from thalweg.population.updates.snapshot import Snapshot, joined


class TrainingLoop:
    """Trains members by an executor, from event to event; `outcomes` are their results.

    A member ends when its loss or parameters are no longer finite, when an event stops it, or after the last step.
    rates: of members whose rates follow the metric, from `performance.begun`.
    """

    def __init__(
        self,
        job: Job,
        members: Sequence[Member],
        executor: Executor,
        control: TrainingControl,
        rates: Sequence[RateNow | None] = (),
    ) -> None:
        self.job, self.members, self.executor, self._control = job, members, executor, control
        self.history = History(len(members), higher_is_better=job.workload.metric.maximized)
        self.held, self.step = np.arange(len(members)), 0
        rules = rules_of(job, members)
        self._stopping = StopEarly(rules) if any(rules) else None
        measure = Measure(RegularizationLosses(job, members))
        stop = {} if self._stopping is None else {"stop": self._stopping}
        prune = {"prune": Prune(members)} if any(member.pruning for member in members) else {}
        follow = {"performance": Plateau(rates)} if any(rates) else {}
        self._snapshots = KeepSnapshots()
        keep: dict[str, Event] = {"snapshots": self._snapshots} if job.snapshots else {}
        first: dict[str, Event] = {**prune, "measure": measure, **follow, **stop}
        self._events: dict[str, Event] = {**first, **keep, "release": Release()}
        workload, seeds = job.workload, list(dict.fromkeys(m.seed for m in members))
        self._draws = workload.train.draws(seeds, workload.step_samples, drop_last=workload.drop_last)
        self.losses: list[Floats] = []  # of every step of this session, if they are kept
        self._train_metric = np.full(len(members), np.nan)
        self._seconds, self._lap = np.zeros(len(members)), time.perf_counter()
        self._evaluations = np.zeros(len(members), np.int64)

    @property
    def active(self) -> Mask:
        """Which of the members held train."""
        return self.history.active[self.held]

    def train(self) -> None:
        """Trains to the end. Measurements before a checkpoint are told, too."""
        if not self.step:
            self.history.starts = self.executor.starts()
            if "prune" in self._events:
                self._events["prune"].happen(self)
        self._share_time(np.ones(len(self.members), np.bool_))
        start = 0
        for end, events in in_order([*self._events.values()], self.job):
            if end > self.step and self.active.any():
                training = self.history.active.copy()
                self._carry_out(start, end)
                for event in events if self.active.any() else ():
                    event.happen(self)
                self._share_time(training)
            start = end
            if self._events["measure"] in events:
                self._control.measured(end, [self.history.measurement(m, end) for m in range(len(self.members))])
        if not self.job.keep_losses:
            self._measure_training()
        self._share_time(np.ones(len(self.members), np.bool_))

    def _carry_out(self, start: int, end: int) -> None:
        """Trains the steps `start + 1` to `end`; after a checkpoint, those that are left."""
        self.executor.plan(start, end, self.step, self.active)
        while self.step < end and self.active.any():
            self._control.check(self._state)
            first = self.step + 1
            batches = [self._draws.next() for _ in range(min(self.executor.stride, end - self.step))]
            training = self.active.copy()
            losses = self.executor.carry_out(first, batches, training)
            self._evaluations[self.held] += np.where(training, self.executor.evaluated, 0)
            for step, (drawn, values) in enumerate(zip(batches, losses, strict=True), first):
                self.history.batch(step, self.everyone(values), drawn.samples)
                if self.job.keep_losses:
                    self.losses.append(self.everyone(values))
            self.step += len(batches)
        self.step = end
        broken = np.zeros(len(self.members), np.bool_)
        broken[self.held] = ~self.executor.finite()
        self.history.end(broken, end)

    def everyone(self, values: ArrayLike) -> Floats:
        """Scatters values of the members held to `[all members]`, with NaN for the others."""
        out = np.full(len(self.members), np.nan)
        out[self.held] = values
        return out

    def hold(self, index: NDArray[np.int64]) -> None:
        """Holds only the members at `index` among those held."""
        if len(index) < len(self.held):
            self.held = self.held[index]
            self.executor.keep(index)

    def _state(self) -> Snapshot | None:
        """The full state; `None` if some of it is out of a checkpoint's reach."""
        executor = self.executor.state()
        if executor is None:
            return None
        parts = {
            "executor": executor,
            "order": Snapshot(*map(dict, self._draws.state())),
            "history": self.history.state(),
        }
        parts |= {f"event {name}": event.state() for name, event in self._events.items()}
        self._share_time(self.history.active)
        counts = {"seconds": self._seconds.tolist(), "evaluations": self._evaluations.tolist()}
        return joined(parts, step=self.step, held=self.held.tolist(), **counts)

    def restore(self) -> None:
        """Continues from the checkpoint, if there is one."""
        state = self._control.checkpoint.load()
        if state is None:
            return
        self.hold(np.array(state.facts["held"], np.int64))
        self.step, self._seconds = state.facts["step"], np.array(state.facts["seconds"])
        self._evaluations = np.array(state.facts["evaluations"], np.int64)
        self.executor.restore(state.part("executor"))
        order = state.part("order")
        self._draws.restore(order.tensors, order.facts)
        self.history.restore(state.part("history"))
        for name, event in self._events.items():
            event.restore(state.part(f"event {name}"))

    def _measure_training(self) -> None:
        """Measures the metric on the training split, of the weights at the end, or of the best if stopped early."""
        train, last = self.job.workload.train, self.job.workload.total_steps
        if (self._stopping is None or None in self._stopping.rules) and self.active.any():
            self._train_metric[self.held] = self.executor.measure(train, last).metrics
        if self._stopping is None:
            return
        known, diverged = self._stopping.train_metric, self.history.diverged_at
        self._train_metric[[*known]] = [*known.values()]
        best = {m: of for m, of in self._stopping.best.items() if diverged[m] is None and m not in known}
        if best:
            seeds = [self.members[m].seed for m in best]
            self._train_metric[[*best]] = self.executor.metric_of([*best.values()], seeds, train, last)

    def _share_time(self, members: Mask) -> None:
        """Counts the time since the last call as that of these members, of all: each took the same share of it."""
        now = time.perf_counter()
        self._seconds[members] += (now - self._lap) / max(1, members.sum())
        self._lap = now

    def outcomes(self, failure: str = "") -> list[Trained]:
        """The members' results. failure: why they could not be trained to their end."""
        self._share_time(np.ones(len(self.members), np.bool_))
        return [self._outcome(m, failure) for m in range(len(self.members))]

    def _outcome(self, m: int, failure: str) -> Trained:
        history = self.history
        stopping = None if self._stopping is None else self._stopping.rules[m]
        whole = history.diverged_at[m] is None and not failure
        test = history.test[m] if stopping is None else history.best_test[m]
        train = float(self._train_metric[m])
        return Trained(
            curve=tuple(history.measured[m]),
            initial_loss=history.initial_loss[m],
            initial_validation_loss=history.starts[m].loss,
            loss_spread=history.starts[m].spread,
            train_metric=train if whole and np.isfinite(train) else None,
            test_metric=test if whole else None,
            best_test_metric=history.best_test[m],
            test_details=(history.test_details if stopping is None else history.best_test_details)[m] if whole else {},
            diverged_at=history.diverged_at[m],
            stopped_at=history.stopped_at[m],
            restored_from=history.best_at[m] if stopping is not None and whole else None,
            seconds=float(self._seconds[m]),
            evaluations=int(self._evaluations[m]),
            memory=self.executor.bytes_of(m),
            execution=self.executor.execution,
            failure=failure,
            weights=self._weights(m) if self.job.keep_weights else {},
            snapshots=self._snapshots.kept.get(m, {}),
            losses=tuple(float(of[m]) for of in self.losses),
        )

    def _weights(self, m: int) -> dict[str, Tensor]:
        """A member's parameters and buffers; empty if it was released without a result."""
        if self._stopping is not None and m in self._stopping.best:
            return self._stopping.best[m]
        place = np.flatnonzero(self.held == m)
        return self.executor.copies([int(place[0])])[0] if len(place) else {}
