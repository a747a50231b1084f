"""The plain loop: one member with the user's model as it is. Reference and fallback of the tensor program."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from thalweg.errors import InputError, ReturnValueError
from thalweg.population.program.failures import exhausted, raised
from thalweg.population.program.late_draws import DrawsLate, Undrawn
from thalweg.population.program.models import build, state
from thalweg.population.program.python_state import changed, fingerprints
from thalweg.population.training.autograd import Evaluated, gradients_of
from thalweg.population.training.evaluation import Evaluator
from thalweg.population.training.events import rules_of
from thalweg.population.training.executor import Floats, Weights
from thalweg.population.training.job import Job
from thalweg.population.training.model_optimizers import optimizer_of
from thalweg.population.training.performance import begun
from thalweg.population.training.pieces import Scores
from thalweg.population.training.start import Start, start_of
from thalweg.population.training.stop import StopTraining, TrainingControl
from thalweg.population.training.training_loop import TrainingLoop
from thalweg.population.updates.maskable import Maskable
from thalweg.population.updates.members import Member, Trained
from thalweg.population.updates.parts import Mask
from thalweg.population.updates.snapshot import Snapshot, copied, joined
from thalweg.workloads.source import DrawnBatches, Source


def train_by_loop(job: Job, member: Member, control: TrainingControl, reason: str) -> Trained:
    """Trains one member by the plain loop; `reason` says why, for the record.

    An exception of the model, the loss, the metric or another library's optimizer ends this run only. A run that draws
    random numbers, though none were drawn before training, restarts with these seeded, as all further runs of its
    optimizer are.
    """
    if member.recipe.name in job.cache.drawing:
        job = replace(job, random=True, outside=True, late=True)
    own, rate = begun(member)
    with torch.no_grad():
        plain = Plain(job, own, reason, watched=control.checkpoint.kept)
        loop = TrainingLoop(job, [own], plain, control, [rate])
        loop.restore()
        try:
            with plain.undrawn:
                loop.train()
            failure = ""
        except DrawsLate:
            control.checkpoint.discard()
            job.cache.drawing.add(member.recipe.name)
            return train_by_loop(job, member, control, reason)
        except StopTraining:
            raise
        except Exception as error:
            if exhausted(error) or (isinstance(error, InputError) and not isinstance(error, ReturnValueError)):
                raise
            failure = str(error).removesuffix(".") if isinstance(error, ReturnValueError) else raised(error)
        return loop.outcomes(failure)[0]


class Plain:
    """The `Executor` of one member by its live model, step by step.

    watched: whether Python state of the model that changes must be noticed, since a checkpoint does not hold it.
    """

    stride = 1
    evaluated = 0

    def __init__(self, job: Job, member: Member, reason: str, *, watched: bool) -> None:
        self._job, self._seed, self.execution = job, member.seed, f"loop: {reason}"
        self._model = build(job.workload, member.seed, job.device)
        kept = watched or rules_of(job, [member]) != [None]
        self._before = fingerprints(job.workload, self._model) if kept else {}
        self._shapes = _shapes(self._model)
        self._evaluator = Evaluator(job, self._model, live=True)
        self._optimizer = optimizer_of(job, member, self._model)
        self.undrawn = Undrawn(seeded=job.late, exposed=job.random)

    def starts(self) -> list[Start]:
        return [start_of(self._job, self._seed)]

    def plan(self, start: int, end: int, done: int, active: Mask) -> None:
        self._optimizer.plan(start + 1, end - start)

    def carry_out(self, first: int, batches: Sequence[DrawnBatches], active: Mask) -> Floats:
        (drawn,) = batches
        batch, self.evaluated = drawn.of(0), 0

        def evaluate(forget: Callable[[], object] | None) -> Evaluated:
            self.evaluated += 1
            return gradients_of(self._job, self._model, batch, self._seed, first, forget)

        loss = self._optimizer.step(first, evaluate)
        self.undrawn.require(quickly=True)
        return np.array([[loss]])

    def finite(self) -> Mask:
        held = self._optimizer.parameters
        return np.array([all(torch.isfinite(p).all() for name, p in held.items() if name in self._job.trained)])

    def measure(self, split: Source, step: int, *, loss: bool = False) -> Scores:
        with self._holding(self._optimizer.weights() if self._optimizer.averages else {}):
            found = self._evaluator.alone(None, split, self._seed, step, loss=loss)
        self.undrawn.require(quickly=False)
        return found

    @property
    def replays(self) -> bool:
        return not changed(self._before, fingerprints(self._job.workload, self._model))

    def metric_of(self, weights: Sequence[Weights], seeds: Sequence[int], split: Source, step: int) -> Sequence[float]:
        (kept,), own = weights, state(self._model)
        if kept.keys() != own.keys() or any(kept[name].shape != own[name].shape for name in kept):
            return self._evaluator.alone(kept, split, self._seed, step).metrics  # buffers that its code replaces
        with self._holding(kept):
            return self._evaluator.alone(None, split, self._seed, step).metrics

    def copies(self, members: Sequence[int]) -> list[dict[str, Tensor]]:
        evaluated = {**state(self._model), **self._optimizer.weights()}
        return [{name: tensor.clone() for name, tensor in evaluated.items()} for _ in members]

    @contextmanager
    def _holding(self, weights: Weights) -> Iterator[None]:
        """Puts weights into the model's own tensors meanwhile, which its code may reach otherwise than by name."""
        own = state(self._model)
        before = {name: own[name].clone() for name, tensor in weights.items() if not torch.equal(own[name], tensor)}
        try:
            for name in before:
                own[name].copy_(weights[name])
            yield
        finally:
            for name, tensor in before.items():
                own[name].copy_(tensor)

    def keep(self, index: NDArray[np.int64]) -> None:
        """Nothing: its one member is freed with it."""

    def maskable(self, member: int) -> dict[str, Maskable]:
        return self._optimizer.maskable()

    def bytes_of(self, member: int) -> int:
        return self._optimizer.bytes

    def state(self) -> Snapshot | None:
        updates = self._optimizer.state()
        if updates is None or changed(self._before, fingerprints(self._job.workload, self._model)):
            return None
        if self._shapes != _shapes(self._model):
            return None
        return joined({"model": Snapshot(state(self._model)), "updates": updates})

    def restore(self, saved: Snapshot) -> None:
        copied(state(self._model), saved.part("model"))
        self._optimizer.restore(saved.part("updates"))


def _shapes(model: nn.Module) -> list[tuple[str, Any]]:
    """Names, shapes and `requires_grad` of a model's tensors, which a checkpoint does not hold."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return [(name, (tensor.shape, tensor.requires_grad)) for name, tensor in named]
