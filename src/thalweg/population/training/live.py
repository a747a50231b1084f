"""Comparison of the traced program with the user's live model during a population's first epoch.

Python state that changes late, and that no fingerprint reaches, is detected here and nowhere earlier.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from thalweg.options.declared import MIXED
from thalweg.population.program.failures import Disagreement
from thalweg.population.program.gradients import GradientProgram, Made, of_member
from thalweg.population.program.models import Stack, build, forget_gradients, state
from thalweg.population.program.python_state import changed, fingerprints
from thalweg.population.program.randomness import seeded
from thalweg.population.program.reasons import CHANGING, of_state
from thalweg.population.training.autograd import gradients_of
from thalweg.population.training.job import Job
from thalweg.population.training.verification import Expected, close, difference
from thalweg.workloads.source import Batch

DISTANCES = (1, 2, 3, 10, 100)
"""Calls at which gradients and buffers are compared as well, as at the last call. Losses are compared at every call."""

SHARE = 0.05  # of the population's member steps: the whole first epoch is compared if it is no more
FEWEST = 100  # steps to compare if it is more


class LiveModel:
    """The model of one member, called with each of its batches. Raises `Disagreement` if the program differs."""

    def __init__(self, job: Job, program: GradientProgram, seed: int, members: int) -> None:
        self._job, self._program, self._seed = job, program, seed
        self._calls, self._last = 0, 0 if program.trusted else _calls(job, members)
        self._expected: Expected | None = None
        if self.follows:
            self._model = build(job.workload, seed, job.device)
            self._before = fingerprints(job.workload, self._model)

    @property
    def follows(self) -> bool:
        """Whether calls are left."""
        return self._calls < self._last

    def call(
        self, stack: Stack, seeds: Sequence[int], going: Sequence[bool], batch_of: Callable[[int], Batch], step: int
    ) -> bool:
        """Runs the next batch of the first active member of its seed; returns whether to `compare` afterwards.

        seeds, going: seed of each member in the stack, and whether it is active. batch_of: a member's batch.
        """
        own = (m for m, (seed, goes) in enumerate(zip(seeds, going, strict=True)) if goes and seed == self._seed)
        self._member = next(own, -1)
        if self._member < 0:  # no member is left to compare with
            self._last = self._calls
            return False
        self._calls += 1
        self._step = step
        self._batch = batch_of(self._member)
        self._become(stack)
        self._expected = None
        if self._calls in DISTANCES or self._calls == self._last:
            self._look()
        else:
            self._loss = self._forward(self._batch, step)
        return True

    def _become(self, stack: Stack) -> None:
        """Copies the member's parameters and buffers into the model."""
        with torch.no_grad():
            for name, tensor in state(self._model).items():
                held = stack.parameters[name] if name in stack.parameters else stack.buffers[name]
                tensor.copy_(held[self._member])

    def _look(self) -> None:
        """Computes loss, gradients and buffers. Raises `Disagreement` if the model's Python state has changed."""
        self._expected = self._given(self._batch, self._step)
        name = changed(self._before, fingerprints(self._job.workload, self._model))
        if name:
            raise Disagreement(of_state(name))

    def compare(self, stack: Stack, made: Made) -> None:
        """Compares with the program's results on the same stack. Raises `Disagreement` if float64 differs too."""
        if self._expected is None:
            loose = self._job.workload.precision == MIXED
            agrees = close(made[1][self._member], torch.tensor(self._loss, dtype=torch.float64), loose=loose)
            found = "" if agrees else "the loss"
        else:
            gradients = of_member(made[0], stack.parameters, self._member)
            buffers = {name: b[self._member] for name, b in made[2].items()}
            found = difference(self._job, self._expected, made[1][self._member], gradients, buffers)
        if found and self._differs_in_double(stack):
            at = f"differs from the live model's at step {self._step}"
            raise Disagreement(found if found == CHANGING else f"traced, {found} {at}")
        self._program.trusted |= self._calls == self._last

    def _forward(self, batch: Batch, step: int) -> float:
        with torch.no_grad(), seeded(self._seed, step, random=self._job.random):
            workload = self._job.workload
            parts = workload.objective.parts(workload.at(batch, step))
            return sum(share * float(workload.objective.training_loss(self._model, part)) for share, part in parts)

    def _given(self, batch: Batch, step: int) -> Expected:
        loss, gradients, _ = gradients_of(self._job, self._model, batch, self._seed, step)
        return Expected(loss, gradients, state(self._model))

    def _differs_in_double(self, stack: Stack) -> bool:
        """Whether they differ in float64 too: float32 may round across ReLU's kink, where gradients jump."""
        floats = [t for t in state(self._model).values() if t.is_floating_point()]
        if any(t.dtype != torch.float32 for t in floats):
            return True
        one = Stack(*(_doubled(of, self._member) for of in (stack.parameters, stack.buffers)))
        inputs, targets = batch = Batch(tuple(_double(x) for x in self._batch[0]), _double(self._batch[1]))
        try:
            expected = self._in_double(one, batch)
            program = self._program.of(self._job.workload, self._double_model())
            lifted = batch if program.shared else Batch(tuple(x[None] for x in inputs), targets[None])
            lifted = self._job.workload.at(lifted, self._step, several=not program.shared)
            made, losses, buffers = program(one, lifted, [self._seed], self._step)
        except Exception:  # the model insists on float32
            return True
        first = {name: b[0] for name, b in buffers.items()}
        return bool(difference(self._job, expected, losses[0], of_member(made, one.parameters, 0), first))

    def _in_double(self, one: Stack, batch: Batch) -> Expected:
        self._model.double()
        try:
            with torch.no_grad():
                for name, tensor in state(self._model).items():
                    tensor.copy_((one.parameters | one.buffers)[name][0])
            expected = self._given(batch, self._step)
            return Expected(expected.loss, expected.gradients, {n: b.clone() for n, b in expected.buffers.items()})
        finally:
            forget_gradients(self._model)
            self._model.float()

    def _double_model(self) -> nn.Module:
        return build(self._job.workload, self._seed, self._job.device).double()


def _calls(job: Job, members: int) -> int:
    """Number of steps to compare: the first epoch, or `FEWEST` if that is too large a share of the training."""
    epoch, total = job.workload.steps_per_epoch, job.workload.total_steps
    cheap = epoch <= SHARE * total * members
    return min(total, epoch if cheap else min(epoch, FEWEST))


def _doubled(tensors: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
    return {name: _double(t[member : member + 1]) for name, t in tensors.items()}


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
