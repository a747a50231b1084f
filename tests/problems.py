"""Small workloads for tests, and how to train members on them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import nn

from thalweg.population.engine.train import Finished, Measured, train
from thalweg.population.planning.plan import make_plan
from thalweg.population.updates.members import Member, Trained
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
    """(run-epochs reported, outcome of each member)."""
    plan = make_plan(workload, members[0].seed, device=torch.device("cpu"), workers=2, **options)
    progress, outcomes = 0, {}
    for event in train(plan, members):
        if isinstance(event, Measured):
            progress += event.runs
        elif isinstance(event, Finished):
            outcomes.update(event.outcomes)
    return progress, outcomes


def train_all(workload: Workload, members: Sequence[Member], **options: Any) -> list[Trained]:
    """The outcomes in the members' order."""
    _, outcomes = finished(workload, members, **options)
    return [outcomes[i] for i in range(len(members))]
