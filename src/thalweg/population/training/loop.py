"""The plain loop: one member with the user's model as it is. Reference and fallback of the tensor program."""

import time
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.population.program.failures import exhausted, raised
from thalweg.population.program.late_draws import DrawsLate, Undrawn
from thalweg.population.program.losses import mean_loss
from thalweg.population.program.models import build, forget_gradients, state
from thalweg.population.program.python_state import changed, fingerprints
from thalweg.population.program.randomness import mix, seeded
from thalweg.population.training.batches import Batch, batch_at, order
from thalweg.population.training.closures import give, step_by_closure
from thalweg.population.training.evaluation import Evaluator
from thalweg.population.training.history import History
from thalweg.population.training.job import Job
from thalweg.population.training.live_parameters import LiveParameters
from thalweg.population.training.start import start_of
from thalweg.population.training.stop import StopTraining, TrainingControl
from thalweg.population.updates.clipping import clipped
from thalweg.population.updates.foreign_state import packed, unpack
from thalweg.population.updates.hyperparameters import groups_of, parameter_groups
from thalweg.population.updates.members import Member, Trained
from thalweg.population.updates.partial_updates import PartialUpdates
from thalweg.population.updates.snapshot import Snapshot, copied, joined
from thalweg.recipes.imported import Imported


def gradients_of(
    job: Job, model: nn.Module, batch: Batch, seed: int, step: int, optimizer: torch.optim.Optimizer | None = None
) -> tuple[float, dict[str, Tensor]]:
    """Loss and dense gradients of one batch by autograd; parameters that the loss does not depend on have none.

    optimizer: another library's; its own `zero_grad` may keep accumulated gradients.
    """
    inputs, targets = batch
    if optimizer is None:
        forget_gradients(model)
    else:
        optimizer.zero_grad()
    with torch.enable_grad(), seeded(seed, step, random=job.random, outside=job.outside):
        loss = mean_loss(job.workload, model(*inputs), targets)
        if not loss.requires_grad:
            raise InputError(f"The loss of {job.workload.name!r} depends on no parameter: nothing can be trained.")
        loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), {name: _dense(p.grad) for name, p in model.named_parameters() if p.grad is not None}


def _dense(gradient: Tensor) -> Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient


def train_by_loop(job: Job, member: Member, watch: TrainingControl, reason: str) -> Trained:
    """Trains one member by the plain loop; `reason` says why, for the record.

    An exception of the model, the loss, the metric or another library's optimizer ends this run only. A run that draws
    random numbers, though none were drawn before training, restarts with these seeded.
    """
    with torch.no_grad():
        run = _Loop(job, member, watch)
        run.restore(watch.checkpoint.load())
        try:
            with run.undrawn:
                run.train()
            failure = ""
        except DrawsLate:
            watch.progress(-run.shown)
            watch.checkpoint.discard()
            return train_by_loop(replace(job, random=True, outside=True, late=True), member, watch, reason)
        except (StopTraining, InputError):
            raise
        except Exception as error:
            if exhausted(error):
                raise
            failure = raised(error)
        return run.outcome(f"loop: {reason}", failure)


class _Loop:
    def __init__(self, job: Job, member: Member, watch: TrainingControl) -> None:
        self._job, self._member, self._watch = job, member, watch
        self._model = build(job.workload, member.seed, job.device)
        self._before = fingerprints(job.workload, self._model) if watch.checkpoint.kept else {}
        self._shapes = _shapes(self._model)
        self._evaluator = Evaluator(job, self._model, live=True)
        self._live = LiveParameters(self._model)
        self._parameters = self._live.stacked
        self._optimizer = self._imported() or self._own()
        self._order = order([member.seed], job.workload)
        self.curves = History(1, higher_is_better=job.workload.metric.maximized)
        self.undrawn = Undrawn(seeded=job.late)
        self._step, self._seconds, self.shown = 0, 0.0, 0
        self._began = time.perf_counter()

    def _own(self) -> PartialUpdates:
        return PartialUpdates(self._member, self._parameters, groups_of(self._job.workload, self._model))

    def _imported(self) -> torch.optim.Optimizer | None:
        """Another library's optimizer over the parameters that require a gradient; `None` for one of ours."""
        recipe, values = self._member.recipe, self._member.values
        if not isinstance(recipe, Imported):
            return None
        with torch.enable_grad():
            return recipe.of(parameter_groups(self._job.workload, self._model, values), values, recipe.path)

    def train(self) -> None:
        milestones = self._job.workload.milestones
        if not self._step:
            self.curves.starts = [start_of(self._job, self._member.seed)]
        for start, end in pairwise([0, *milestones]):
            if end > self._step and self.curves.active[0]:
                self.train_between(start, end)
                if self.curves.active[0]:
                    self.evaluate(last=end == milestones[-1])
                self.undrawn.require(quickly=False)
            self._watch.progress(1)
            self.shown += 1

    def train_between(self, start: int, end: int) -> None:
        """Trains steps `start + 1` to `end`; after a checkpoint, those that are left."""
        if isinstance(self._optimizer, PartialUpdates):
            self._optimizer.plan(start + 1, end - start)
        while self._step < end:
            self._watch.check(self._state)
            self._step += 1
            self._train_batch(batch_at(self._job.workload.train, self._order.next()[0]))
            self.undrawn.require(quickly=True)
            if not self.curves.active[0]:
                return
        broken = any(not torch.isfinite(p).all() for p in self._parameters.values())
        self.curves.end(np.array([broken]), self._step)

    def _train_batch(self, batch: Batch) -> None:
        if isinstance(self._member.recipe, Imported) and self._member.recipe.needs_closure:
            self._train_by_closure(batch)
            return
        own = self._optimizer if isinstance(self._optimizer, torch.optim.Optimizer) else None
        loss, gradients = gradients_of(self._job, self._model, batch, self._member.seed, self._step, own)
        self.curves.batch(self._step, np.array([loss]), len(batch[1]))
        if not self.curves.active[0]:
            return
        stacked = self._live.chosen(gradients)
        limit = self._job.clip_norm
        if limit is not None:
            stacked = clipped(stacked, limit)
        if isinstance(self._optimizer, PartialUpdates):
            moved = self._live.fetch()
            self._optimizer.step(self._step, stacked, self.curves.active)
            self._live.put(moved)
            return
        self._live.require_known(stacked)
        for name, parameter in self._model.named_parameters() if limit is not None else ():
            parameter.grad = stacked[name][0] if name in stacked else None
        with self._seeded_step(), torch.enable_grad():  # as in a user's loop
            self._optimizer.step()

    def _seeded_step(self) -> AbstractContextManager[None]:
        """Seeds random numbers of an optimizer's step from a stream that no call of the model uses."""
        seed = mix(self._member.seed, self._step, 0)
        return seeded(seed, self._step, random=self._job.late, outside=self._job.late)

    def _train_by_closure(self, batch: Batch) -> None:
        """Evaluates the same batch with the same dropout at every call of the closure."""
        assert not isinstance(self._optimizer, PartialUpdates)

        def evaluate() -> float:
            loss, gradients = gradients_of(self._job, self._model, batch, self._member.seed, self._step)
            give(self._job, self._model, gradients)
            return loss

        with self._seeded_step():
            loss = step_by_closure(self._optimizer, evaluate)
        self.curves.batch(self._step, np.array([loss]), len(batch[1]))

    def evaluate(self, *, last: bool) -> None:
        workload, tensors = self._job.workload, self._averaged()
        seed = self._member.seed
        metric, loss = self._evaluator.alone(tensors, workload.validation, seed, self._step, loss=True)
        improved = self.curves.measure(self._step, np.array([metric]), np.array([loss]))
        if self._job.test and workload.test is not None and (last or improved[0]):
            self.curves.tested(np.array([self._evaluator.alone(tensors, workload.test, seed, self._step)[0]]), improved)

    def _state(self) -> Snapshot | None:
        """Full state of the run; `None` if some of it is out of a checkpoint's reach."""
        optimizer = self._optimizer
        updates = optimizer.state() if isinstance(optimizer, PartialUpdates) else packed(optimizer)
        if updates is None or changed(self._before, fingerprints(self._job.workload, self._model)):
            return None
        if self._shapes != _shapes(self._model):
            return None
        parts = {"model": Snapshot(state(self._model)), "updates": updates}
        parts |= {"order": self._order.state(), "curves": self.curves.state()}
        return joined(parts, step=self._step, seconds=self._spent())

    def restore(self, saved: Snapshot | None) -> None:
        """Continues from a checkpoint; `None` starts anew."""
        if saved is None:
            return
        self._step, self._seconds = saved.facts["step"], saved.facts["seconds"]
        copied(state(self._model), saved.part("model"))
        self._order.restore(saved.part("order"))
        self.curves.restore(saved.part("curves"))
        if isinstance(self._optimizer, PartialUpdates):
            self._optimizer.restore(saved.part("updates"))
        else:
            unpack(self._optimizer, saved.part("updates"))

    def _spent(self) -> float:
        """Seconds of training, including those before a checkpoint."""
        return self._seconds + time.perf_counter() - self._began

    def outcome(self, execution: str, failure: str) -> Trained:
        going = bool(self.curves.active[0]) and not failure
        return Trained(
            curve=tuple(self.curves.measured[0]),
            initial_loss=self.curves.initial_loss[0],
            initial_validation_loss=self.curves.starts[0].loss,
            loss_spread=self.curves.starts[0].spread,
            train_metric=self._train_metric() if going else None,
            test_metric=self.curves.test[0] if going else None,
            best_test_metric=self.curves.best_test[0],
            diverged_at=self.curves.diverged_at[0],
            seconds=self._spent(),
            memory=self._memory(),
            execution=execution,
            failure=failure,
            weights={n: t.clone() for n, t in self._evaluated().items()} if self._job.keep_weights else {},
        )

    def _memory(self) -> int:
        trained = [p for p in self._model.parameters() if p.requires_grad]
        own = sum(p.numel() * p.element_size() for p in trained)
        if isinstance(self._optimizer, PartialUpdates):
            return own * self._member.copies
        held = (x for state in self._optimizer.state.values() for x in state.values() if isinstance(x, Tensor))
        return 2 * own + sum(x.numel() * x.element_size() for x in held)

    def _averaged(self) -> dict[str, Tensor] | None:
        """The model's tensors with averaged weights; `None` if it is evaluated with its own."""
        averages = isinstance(self._optimizer, PartialUpdates) and self._optimizer.averages
        return self._evaluated() if averages else None

    def _evaluated(self) -> dict[str, Tensor]:
        averaged = self._optimizer.weights() if isinstance(self._optimizer, PartialUpdates) else {}
        return {**state(self._model), **{name: tensor[0] for name, tensor in averaged.items()}}

    def _train_metric(self) -> float:
        return self._evaluator.alone(self._averaged(), self._job.workload.train, self._member.seed, self._step)[0]


def _shapes(model: nn.Module) -> list[tuple[str, Any]]:
    """Names, shapes and `requires_grad` of a model's tensors, which a checkpoint does not hold."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return [(name, (tensor.shape, tensor.requires_grad)) for name, tensor in named]
