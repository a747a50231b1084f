"""The plain loop: one member, the user's model as it is. What the tensor program is checked by, and its fallback."""

import time

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.population.batches import Order, batches
from thalweg.population.curves import Curves
from thalweg.population.evaluation import Evaluator
from thalweg.population.job import Job, Watch
from thalweg.population.members import Member, Trained
from thalweg.population.models import build, state
from thalweg.population.randomness import seeded
from thalweg.population.updates import Updates


def gradients_of(
    job: Job, model: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], seed: int, step: int
) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of one batch by autograd; parameters that the loss does not reach have none."""
    inputs, targets = batch
    model.zero_grad(set_to_none=True)
    with torch.enable_grad(), seeded(seed, step, random=job.random):
        loss = job.workload.loss(model(*inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def train_alone(job: Job, member: Member, watch: Watch, reason: str) -> Trained:
    """Trains one member by the plain loop; `reason` says why, for the record."""
    began = time.perf_counter()
    with torch.no_grad():
        run = _Alone(job, member, watch)
        for epoch in range(job.workload.epochs):
            if run.curves.active[0]:
                run.train_epoch()
            if run.curves.active[0]:
                run.evaluate(last=epoch == job.workload.epochs - 1)
            watch.progress(1)
        return run.outcome(time.perf_counter() - began, f"loop: {reason}")


class _Alone:
    def __init__(self, job: Job, member: Member, watch: Watch) -> None:
        self._job, self._member, self._watch = job, member, watch
        self._model = build(job.workload, member.seed, job.device)
        self._evaluator = Evaluator(job, self._model)
        self._parameters = {n: p.detach()[None] for n, p in self._model.named_parameters() if n in job.trained}
        self._updates = Updates([member], self._parameters)
        self._order = Order([member.seed], len(job.workload.train))
        self.curves = Curves(1, higher_is_better=job.workload.metric.higher_is_better)
        self._step = 0

    def train_epoch(self) -> None:
        workload = self._job.workload
        self._updates.plan(self._step + 1, workload.steps_per_epoch)
        for batch in batches(workload.train, self._order.epoch()[0], workload.batch_size):
            self._watch.check()
            self._step += 1
            loss, gradients = gradients_of(self._job, self._model, batch, self._member.seed, self._step)
            self.curves.batch(self._step, np.array([loss]), len(batch[1]))
            if not self.curves.active[0]:
                return
            stacked = {name: gradients[name][None] for name in self._parameters}
            self._updates.step(self._step, stacked, self.curves.active)
        broken = any(not torch.isfinite(p).all() for p in self._parameters.values())
        self.curves.end(np.array([broken]), self._step)

    def evaluate(self, *, last: bool) -> None:
        workload, tensors = self._job.workload, state(self._model)
        seed = self._member.seed
        metric, loss = self._evaluator.alone(tensors, workload.validation, seed, self._step, loss=True)
        improved = self.curves.epoch(np.array([metric]), np.array([loss]))
        if self._job.test and workload.test is not None and (last or improved[0]):
            self.curves.tested(np.array([self._evaluator.alone(tensors, workload.test, seed, self._step)[0]]), improved)

    def outcome(self, seconds: float, execution: str) -> Trained:
        tensors, going = state(self._model), bool(self.curves.active[0])
        return Trained(
            epochs=tuple(self.curves.epochs[0]),
            initial_loss=self.curves.initial_loss[0],
            train_metric=self._train_metric(tensors) if going else None,
            test_metric=self.curves.test[0] if going else None,
            best_test_metric=self.curves.best_test[0],
            diverged_at=self.curves.diverged_at[0],
            seconds=seconds,
            execution=execution,
            weights={n: t.clone() for n, t in tensors.items()} if self._job.keep_weights else {},
        )

    def _train_metric(self, tensors: dict[str, Tensor]) -> float:
        return self._evaluator.alone(tensors, self._job.workload.train, self._member.seed, self._step)[0]
