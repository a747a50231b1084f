"""The live model beside a population through its first epoch: whether the traced program still does what it does.

Python state that changes late, and lies where no fingerprint reaches, shows here and nowhere earlier.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from thalweg.population.alone import gradients_of
from thalweg.population.batches import Batch
from thalweg.population.gradients import GradientProgram, Made, of_member
from thalweg.population.job import Disagreement, Job
from thalweg.population.losses import mean_loss
from thalweg.population.models import Stack, build, state
from thalweg.population.python_state import changed, fingerprints
from thalweg.population.randomness import seeded
from thalweg.population.reasons import CHANGING, of_state
from thalweg.population.verification import Expected, difference

DISTANCES = (1, 2, 3, 10, 100)
"""Calls at which both are compared; so are they at the last."""

SHARE = 0.05  # of the population's steps that are called for the whole first epoch
FEWEST = 100  # steps that are called where that is too much


class LiveModel:
    """One member's model, called with every batch of it. Raises `Disagreement` where the program does otherwise."""

    def __init__(self, job: Job, program: GradientProgram, seed: int, members: int) -> None:
        self._job, self._program, self.seed = job, program, seed
        self._calls, self._last = 0, 0 if program.trusted else _calls(job, members)
        if self.follows:
            self._model = build(job.workload, seed, job.device)
            self._before = fingerprints(job.workload, self._model)

    @property
    def follows(self) -> bool:
        """Whether it is still called."""
        return self._calls < self._last

    def leave(self) -> None:
        """Its member is gone: it is called no more, and shows nothing."""
        self._last = self._calls

    def call(self, stack: Stack, member: int, batch: Batch, step: int) -> Expected | None:
        """The next batch of the member, by its place in the stack; what to compare where that is due."""
        self._calls += 1
        if self._calls not in DISTANCES and self._calls != self._last:
            self._forward(batch, step)
            return None
        with torch.no_grad():
            for name, tensor in state(self._model).items():
                tensor.copy_((stack.parameters | stack.buffers)[name][member])
        expected = self._expected(batch, step)
        name = changed(self._before, fingerprints(self._job.workload, self._model))
        if name:
            raise Disagreement(of_state(name))
        return expected

    def compare(self, expected: Expected, stack: Stack, member: int, batch: Batch, step: int, made: Made) -> None:
        """`made`: what the program gives for the same stack."""
        gradients = of_member(made[0], stack.parameters, member)
        buffers = {name: b[member] for name, b in made[2].items()}
        found = difference(self._job, expected, made[1][member], gradients, buffers)
        if found and self._differs_in_double(stack, member, batch, step):
            said = found if found == CHANGING else f"traced, {found} differs from the live model's at step {step}"
            raise Disagreement(said)
        self._program.trusted |= self._calls == self._last

    def _forward(self, batch: Batch, step: int) -> None:
        with torch.no_grad(), seeded(self.seed, step, random=self._job.random):
            mean_loss(self._job.workload, self._model(*batch[0]), batch[1])

    def _expected(self, batch: Batch, step: int) -> Expected:
        loss, gradients = gradients_of(self._job, self._model, batch, self.seed, step)
        return Expected(loss, gradients, state(self._model))

    def _differs_in_double(self, stack: Stack, member: int, batch: Batch, step: int) -> bool:
        """In float32 some unit may lie within rounding of ReLU's kink, where gradients jump."""
        floats = [t for t in state(self._model).values() if t.is_floating_point()]
        if any(t.dtype != torch.float32 for t in floats):
            return True
        one = Stack(*(_doubled(of, member) for of in (stack.parameters, stack.buffers)))
        inputs, targets = tuple(_double(x) for x in batch[0]), _double(batch[1])
        try:
            expected = self._in_double(one, (inputs, targets), step)
            program = self._program.of(self._job.workload, self._double_model())
            lifted = (inputs, targets) if program.shared else (tuple(x[None] for x in inputs), targets[None])
            made, losses, buffers = program(one, lifted, [self.seed], step)
        except Exception:  # the model insists on float32
            return True
        first = {name: b[0] for name, b in buffers.items()}
        return bool(difference(self._job, expected, losses[0], of_member(made, one.parameters, 0), first))

    def _in_double(self, one: Stack, batch: Batch, step: int) -> Expected:
        self._model.double()
        try:
            with torch.no_grad():
                for name, tensor in state(self._model).items():
                    tensor.copy_((one.parameters | one.buffers)[name][0])
            expected = self._expected(batch, step)
            return Expected(expected.loss, expected.gradients, {n: b.clone() for n, b in expected.buffers.items()})
        finally:
            self._model.zero_grad()
            self._model.float()

    def _double_model(self) -> nn.Module:
        return build(self._job.workload, self.seed, self._job.device).double()


def _calls(job: Job, members: int) -> int:
    """Steps to call it at: the first epoch, or fewer where that would be a large part of the training."""
    epoch, total = job.workload.steps_per_epoch, job.workload.total_steps
    cheap = epoch <= SHARE * total * members
    return min(total, epoch if cheap else min(epoch, FEWEST))


def _doubled(tensors: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
    return {name: _double(t[member : member + 1]) for name, t in tensors.items()}


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
