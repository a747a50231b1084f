"""Random numbers of many kinds: a population draws what the plain loop draws."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, executions, problem
from torch import Tensor, nn

KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "alpha dropout": lambda h: F.alpha_dropout(h, 0.3, True),
    "dropout of whole features": lambda h: F.dropout1d(h[..., None], 0.3, True)[..., 0],
    "a permutation of the batch": lambda h: h + 0.1 * h[torch.randperm(len(h))],
    "whole numbers": lambda h: h * (1 + torch.randint(0, 3, (16,)) / 3),
    "a choice of features": lambda h: h + h[:, torch.multinomial(torch.ones(16), 16)],
    "coins": lambda h: h * torch.bernoulli(torch.full_like(h, 0.5)),
    "numbers written in place": lambda h: h + torch.empty(16, dtype=h.dtype).uniform_(-0.1, 0.1),
    "normal numbers": lambda h: h + torch.normal(0.0, 0.1, (16,)).to(h),
    "a distribution": lambda h: h * torch.distributions.Beta(1.0, 1.0).sample() + h.flip(0),
    "random slopes": lambda h: F.rrelu(h, 0.1, 0.3, True),
    "Gumbel noise": lambda h: h * F.gumbel_softmax(h),
}


class Draws(nn.Module):
    """It draws in training; where it looks at a number, too, the loop alone can train it."""

    def __init__(self, kind: str, *, looks: bool) -> None:
        super().__init__()
        self.first, self.out, self.kind, self.looks = nn.Linear(4, 16), nn.Linear(16, 1), kind, looks

    def forward(self, x: Tensor) -> Tensor:
        if self.looks:
            x.sum().item()
        h = torch.tanh(self.first(x))
        return self.out(KINDS[self.kind](h) if self.training else h)


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_alike_by_a_population_and_by_the_loop(kind: str) -> None:
    free, looking = (compared(problem(partial(Draws, kind, looks=looks)), ["sgd"]) for looks in (False, True))
    assert executions(looking) == {"loop"}
    ours, theirs = ([m.validation_loss for run in r.runs for m in run.curve] for r in (free, looking))
    assert ours == pytest.approx(theirs, rel=1e-7)
