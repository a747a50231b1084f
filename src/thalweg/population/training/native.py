"""Training of members by native code: each for many steps at a time, one after the other."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from thalweg.population.native.blas import in_one_thread
from thalweg.population.native.forward import NativeForward
from thalweg.population.native.program import NativeProgram, stacks_of
from thalweg.population.native.steps import Steps
from thalweg.population.program.failures import Disagreement
from thalweg.population.program.randomness import keys_of
from thalweg.population.training.executor import Floats
from thalweg.population.training.job import Job
from thalweg.population.training.vectorized import Vectorized
from thalweg.population.updates.member_passes import MemberPasses
from thalweg.population.updates.members import Member
from thalweg.population.updates.parts import Mask
from thalweg.workloads.source import DrawnBatches
from thalweg.workloads.split import Indexed, Split

STRIDE = 64  # steps between two looks at whether training is to be saved or stopped, at most
OPERATIONS = 2e10  # of all members between two looks, at most: a fraction of a second


class Native(Vectorized):
    """The `Executor` of members by a `NativeProgram`, step by step only where a step needs more than that."""

    def __init__(self, job: Job, members: Sequence[Member], program: NativeProgram, *, live: bool) -> None:
        self._native = program
        super().__init__(job, members, program, live=live)
        self._passes: MemberPasses | None = None
        self._gradients = {n: torch.empty_like(p[:1]) for n, p in self._stack.parameters.items()}
        train = job.workload.train
        self._indexed = isinstance(train, Split) and all(x.is_contiguous() for x in (*train.inputs, train.targets))
        self._indexed = self._indexed and not job.workload.objective.follows

    def _forward(self, model: nn.Module) -> NativeForward:
        return NativeForward(self._job.workload, model, self._native.traces.graphs, self._native.library)

    @property
    def stride(self) -> int:
        operations = max(1, self._job.operations) * max(1, len(self._seeds))
        return max(1, min(STRIDE, int(OPERATIONS / operations))) if self._takes_whole_steps else 1

    @property
    def _takes_whole_steps(self) -> bool:
        """Whether nothing but native code is needed in a step."""
        follows = self._live is not None and self._live.follows
        return self._indexed and not follows and self._rules is None and self._updates.planned_ahead

    def _plan_updates(self, start: int, end: int, done: int) -> None:
        self._updates.plan(done + 1, end - done, ahead=True)
        if self._passes is not None:
            self._passes.plan(self._updates)

    def keep(self, index: NDArray[np.int64]) -> None:
        super().keep(index)
        self._passes = None

    def carry_out(self, first: int, batches: Sequence[DrawnBatches], active: Mask) -> Floats:
        if not self._takes_whole_steps:
            return super().carry_out(first, batches, active)
        self._live = None  # frees its memory
        if self._program.distrusted:
            raise Disagreement(self._program.distrusted)
        losses = np.full((len(batches), len(self._seeds)), np.nan)
        self.evaluated = np.zeros(len(self._seeds), np.int64)
        going, start = active.copy(), 0
        while start < len(batches):
            end = start + _leading(batches[start:])
            self._interval(first + start, batches[start:end], going, losses[start:end])
            start = end
        self._updates.advance(first + len(batches) - 1)
        return losses

    def _interval(self, first: int, batches: Sequence[DrawnBatches], going: Mask, losses: Floats) -> None:
        """Trains the members that go on through batches of one size; a member whose loss is not finite ends."""
        index = torch.stack([b.index for b in batches if isinstance(b, Indexed)])
        if int(index.min()) < 0 or int(index.max()) >= len(self._job.workload.train):  # native code trusts them
            raise IndexError(f"a sample's number lies outside of 0 to {len(self._job.workload.train) - 1}")
        index = index.permute(1, 0, 2).contiguous()  # [seeds, steps, batch]
        steps, passes, rows = self._prepared(batches[0]), self._prepared_passes(), self._rows.tolist()
        with in_one_thread(self._native.library):
            for m in np.flatnonzero(going):
                keys = keys_of(self._seeds[m], first, len(batches), steps.sites)
                losses[:, m], done = steps.carry_out(
                    int(m), index[rows[m]], passes.of(int(m), first), keys, flush=passes.flushes(int(m))
                )
                self.evaluated[m] += min(done + 1, len(batches))
                going[m] = done == len(batches)

    def _prepared(self, batch: DrawnBatches) -> Steps:
        """Steps of batches of this size."""
        split = self._job.workload.train
        assert isinstance(split, Split)
        given = [x[0] for x in batch.several(torch.zeros(1, dtype=torch.int64)).tensors]
        code = self._native.code(self._stack, given)
        data = (*split.inputs, split.targets)
        return Steps(code, self._native.workspace(code), stacks_of(self._stack), self._gradients, given, data)

    def _prepared_passes(self) -> MemberPasses:
        if self._passes is None:
            self._passes = MemberPasses(self._updates, self._gradients, len(self._seeds))
        return self._passes


def _leading(batches: Sequence[DrawnBatches]) -> int:
    """How many of the first batches have one size."""
    return next((i for i, b in enumerate(batches) if b.samples != batches[0].samples), len(batches))
