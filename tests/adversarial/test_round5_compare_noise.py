"""Round 5: noise on weights (NoisyNet, Bayes by backprop, variational dropout), early and late in training."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, executions, problem
from torch import Tensor, nn

NOISE = {
    "randn_like": lambda w, _, t: torch.randn_like(w), "rand_like": lambda w, _, t: torch.rand_like(w),
    "normal_": lambda w, _, t: torch.empty_like(w).normal_(), "clone": lambda w, _, t: w.detach().clone().uniform_(),
    "randn": lambda w, _, t: torch.randn(w.shape, dtype=w.dtype), "dropout": lambda w, _, t: F.dropout(w, 0.5),
    "dropout in training": lambda w, _, t: F.dropout(w, 0.5, t), "in training": lambda w, _, t: torch.randn_like(w) * t,
    "of the output": lambda w, h, t: torch.randn_like(h).mean() * torch.ones_like(w),
    "bernoulli": lambda w, _, t: torch.bernoulli(w.detach().sigmoid()),
}  # fmt: skip


class Noisy(nn.Module):
    """A linear layer whose weights are shaken from some step on."""

    def __init__(self, kind: str, start: int, *, looks: bool) -> None:
        super().__init__()
        self.a, self.b, self.kind, self.start, self.looks = nn.Linear(4, 8), nn.Linear(8, 1), kind, start, looks
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Any:
        if self.looks:
            x.sum().item()
        if self.training:
            self.steps += 1
        noise = NOISE[self.kind](self.a.weight, self.a(x), self.training) * (self.steps - self.start).clamp(0, 5) / 5
        return self.b(F.linear(x, self.a.weight + 0.1 * noise, self.a.bias))


@pytest.mark.parametrize("start", [-5, 12])
@pytest.mark.parametrize("kind", NOISE)
def test_noise_on_a_linear_weight_is_drawn_as_the_loop_draws_it(kind: str, start: int) -> None:
    free, loop = (
        compared(problem(lambda: Noisy(kind, start, looks=looks)), ["sgd"], seeds=2, learning_rates=[0.01, 0.02])  # noqa: B023
        for looks in (False, True)
    )
    assert executions(loop) == {"loop"}
    ours, theirs = ([m.validation_loss for run in r.runs for m in run.curve] for r in (free, loop))
    assert ours == pytest.approx(theirs, rel=1e-7), {run.execution for run in free.runs}
