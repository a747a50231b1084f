"""Small workloads for tests, and how to train members on them."""

import queue
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import nn

from thalweg.population.engine.task import MembersFinished, MembersMeasured
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member, Trained
from thalweg.records.types import Measurement
from thalweg.workloads.workload import Workload

EVERYTHING = {
    "centralize": True, "clip_adaptive": 0.1, "clip_global_norm": 0.2, "clip_tensor_norm": 0.15, "clip_value": 0.05,
    "weight_decay": 0.01, "cautious": True, "max_norm": 0.9, "lookahead_steps": 4, "ema_decay": 0.8,
}  # fmt: skip
"""Every modifier of an optimizer at once."""


def refused(*tensors: torch.Tensor, scales: object = ()) -> str:
    """In the place of `storage.obstacle`: no row is taken by a compiled pass."""
    return "the test asks for the reference"


class TinyNet(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 16, dtype=dtype)
        self.out = nn.Linear(16, 3, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.hidden(x)))


class Hidden(nn.Module):
    """Its answers change after some training calls, which it counts where no fingerprint reaches."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.out, self.hidden, self.calls = nn.Linear(6, 3), queue.SimpleQueue[int](), calls
        self.hidden.put(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.hidden.put(n := self.hidden.get() + self.training)
        return self.out(x) * (1.0 if n <= self.calls else 0.1)


def points(samples: int, seed: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes cut by two random planes."""
    x = torch.randn(samples, 6, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    planes = torch.randn(6, 2, generator=torch.Generator().manual_seed(99), dtype=dtype)
    return x, (x @ planes > 0).sum(1)


def tiny(dtype: torch.dtype = torch.float32, **changes: Any) -> Workload:
    """A two-layer net on 330 points in batches of 16: the last batch of an epoch holds 10.

    Its factory is one in all tests of a process, and so it is traced once; a test that changes how a model is traced
    gives `model`.
    """
    return replace(_whole(dtype), **changes)


@cache
def _whole(dtype: torch.dtype) -> Workload:
    return Workload(
        name="tiny",
        model=lambda: TinyNet(dtype),
        train=points(330, 1, dtype),
        validation=points(90, 2, dtype),
        test=points(110, 3, dtype),
        batch_size=16,
        epochs=3,
        target=0.6,
    )


def finished(workload: Workload, members: Sequence[Member], **options: Any) -> tuple[int, dict[int, Trained]]:
    """(points of curves told, the last of each member and step; outcome of each member)."""
    planned_job = plan_job(workload, members[0].seed, device=torch.device("cpu"), workers=2, **options)
    told: dict[tuple[int, int], Measurement | None] = {}
    outcomes: dict[int, Trained] = {}
    for event in train(planned_job, members):
        if isinstance(event, MembersMeasured):
            told |= {(i, event.step): point for i, point in event.measurements.items()}
        elif isinstance(event, MembersFinished):
            outcomes.update(event.outcomes)
    for i, trained in outcomes.items():
        assert tuple(point for (m, _), point in sorted(told.items()) if m == i and point) == trained.curve
    return len(told), outcomes


def train_all(workload: Workload, members: Sequence[Member], **options: Any) -> list[Trained]:
    """The outcomes in the members' order."""
    _, outcomes = finished(workload, members, **options)
    return [outcomes[i] for i in range(len(members))]
