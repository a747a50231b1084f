"""Asynchronous training steps on a GPU: the second step of a batch shape is captured as a CUDA graph and replayed.

A step is then one launch, whatever the number of members and operations. Losses and divergence stay on the device
until they are read.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.errors import first_line
from thalweg.execution.gpu import passes
from thalweg.population.program.failures import exhausted
from thalweg.population.program.gradients import GradientProgram
from thalweg.population.program.models import Stack
from thalweg.population.training.job import Job
from thalweg.population.updates.on_device import OnDeviceUpdates
from thalweg.population.updates.parts import Gradient
from thalweg.population.updates.updates import PopulationUpdates
from thalweg.workloads.source import Batch
from thalweg.workloads.split import Split

logger = logging.getLogger(__name__)

RECORD = ("cuda",)
"""Device types with graph capture. On others kernels are launched one by one, also without synchronization."""


@dataclass
class _Shape:
    """Steps of one batch shape. index: the samples of the next step. like: the gradients of the first.

    kept: objects that the captured graph uses and nothing else references.
    """

    index: Tensor
    like: Mapping[str, Gradient]
    repeat: Callable[[], object] | None = None
    kept: Any = None


class CapturedSteps:
    """Steps of a stack of members whose models draw no random numbers."""

    def __init__(
        self, job: Job, stack: Stack, program: GradientProgram, updates: PopulationUpdates, seeds: Sequence[int]
    ) -> None:
        self._job, self._stack, self._program, self._seeds = job, stack, program, seeds
        device, members = job.device, stack.members
        most = max(end - start for start, end in pairwise([0, *job.workload.milestones]))
        self._updates = OnDeviceUpdates(updates, most, device)
        self._place = torch.zeros(1, dtype=torch.int64, device=device)
        self._t = torch.zeros(1, dtype=torch.float64, device=device)
        self._active = torch.ones(members, dtype=torch.int64, device=device)
        self._losses = torch.zeros(most, members, dtype=torch.float64, device=device)
        self._shapes: dict[torch.Size, _Shape] = {}
        self._launched, self._read = 0, 0  # steps since `begin`

    @property
    def reason(self) -> str:
        """Why no step is captured; empty if there is no obstacle."""
        return self._program.unrecorded

    def begin(self, first: int, steps: int, active: NDArray[np.bool_]) -> None:
        """Prepares steps `first`, …, `first + steps - 1` of the active members, bool `[members]`."""
        self._launched, self._read = 0, 0
        self._place.zero_()
        self._t.fill_(first)
        self._active.copy_(torch.from_numpy(active.astype(np.int64)))
        self._updates.begin(first, steps)

    def step(self, index: Tensor) -> None:
        """Launches the next step on the samples at `index`, `[batch]` or `[members, batch]`."""
        shape = self._shapes.get(index.shape)
        self._launched += 1
        if shape is None:  # traces and compiles
            index = index.to(self._job.device, copy=True)
            self._shapes[index.shape] = _Shape(index, self._carry_out(index))
            return
        shape.index.copy_(passes.at_rest(index, self._job.device), non_blocking=True)
        if shape.repeat is None:
            shape.repeat = self._record(shape)
            shape.like = {}
        shape.repeat()

    def losses(self) -> NDArray[np.float64]:
        """The losses `[steps, members]` of the steps since `begin` or the last call; synchronizes."""
        found: NDArray[np.float64] = self._losses[self._read : self._launched].cpu().numpy()
        self._updates.settle()
        self._read = self._launched
        return found

    def _at(self, index: Tensor) -> Batch:
        train = self._job.workload.train
        assert isinstance(train, Split), "streams are not captured"
        return train.at(index)

    def _carry_out(self, index: Tensor) -> Mapping[str, Gradient]:
        """Runs one step with device values only; returns the gradients."""
        gradients, losses, buffers = self._program(self._stack, self._at(index), self._seeds, 0)
        self._active.mul_(torch.isfinite(losses))
        self._losses.index_copy_(0, self._place, losses.double()[None])
        self._updates.step(self._place, self._t, gradients, self._active)
        for name, buffer in buffers.items():
            self._stack.buffers[name].copy_(buffer)
        self._place.add_(1)
        self._t.add_(1)
        return gradients

    def _record(self, shape: _Shape) -> Callable[[], object]:
        """A callable that runs a step of this shape; a captured graph where possible."""
        if self._job.device.type in RECORD and not self.reason:
            own = self._updates.own(shape.like)
            try:
                repeat = record(lambda: self._carry_out(shape.index), self._job.device)
                self._updates.send()
                shape.kept = own
                return repeat
            except RuntimeError as error:
                if exhausted(error):
                    raise
                why = first_line(error.__context__ or error)  # torch's last error only says that capture failed
                self._program.unrecorded = f"its steps are launched one by one: {why}"
                logger.warning("A training step cannot be recorded as a CUDA graph: %s", why)
            finally:
                self._updates.own(shape.like)  # new passes for later steps: the graph owns these
        return lambda: self._carry_out(shape.index)


def record(step: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """Captures the step as a CUDA graph and returns its replay, one launch; capture itself runs no kernel."""
    graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
    stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's default may be on another device
    try:
        with torch.cuda.device(device), torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            step()
    except BaseException:
        torch.cuda.set_stream(before)  # torch does not restore it if capture fails at its end
        raise
    return graph.replay
