"""Round 6: factories, noise, losses, data and options, each beside the plain loop."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import OPTIMIZERS, compared, executions, held, numbers, problem, trained
from round3 import lower
from round5 import Of
from test_round6_compare import ab
from torch import Tensor, nn

L, P = nn.Linear, nn.Parameter


class Tied(nn.Module):
    """A decoder's weight is a view of the encoder's, taken once."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = L(4, 4).double(), L(4, 1).double()
        self.back = self.a.weight.T

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(torch.tanh(self.a(x)) @ self.back))


def test_a_view_of_a_parameter_in_an_attribute() -> None:
    held(Tied, own=True, optimizers=["sgd"])


class Joined(nn.Module):
    """Two weights joined once, in the making: the joint is stale, its gradient reaches both."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.c, self.b = L(4, 2).double(), L(4, 2).double(), L(4, 1).double()
        self.joined = torch.cat([self.a.weight, self.c.weight])

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(x @ self.joined.T)) + self.a(x).sum(1, keepdim=True)


def test_weights_joined_in_the_making() -> None:
    held(Joined, own=True, optimizers=["sgd"])


def warm_started() -> nn.Module:
    """A factory that fits its model a little before it hands it over."""
    model = nn.Sequential(L(4, 4), nn.Tanh(), L(4, 1)).double()
    x, y = numbers(16, 9)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()
    optimizer.zero_grad()
    return model


def test_a_factory_that_trains() -> None:
    held(warm_started, own=True)


def looking(call: Any, m: Any, x: Tensor) -> Tensor:
    x.sum().item()
    return call(m, x)


def dropped(f: Any) -> Any:
    return lambda m, x: m.b(f(torch.tanh(m.a(x)), m.training))


NOISE = {
    "alpha dropout": dropped(lambda h, on: F.alpha_dropout(h, 0.3, on)),
    "channels": dropped(lambda h, on: F.dropout1d(h.view(-1, 2, 2), 0.3, on).flatten(1)),
    "gumbel softmax": dropped(lambda h, on: F.gumbel_softmax(h, 0.7, hard=on)),
    "locked": dropped(lambda h, on: h * torch.bernoulli(torch.full((1, 4), 0.7, dtype=h.dtype)) if on else h),
    "normal": dropped(lambda h, on: torch.normal(h, h.abs() + 0.1) if on else h),
    "poisson": dropped(lambda h, on: h * torch.poisson(h.abs() + 1) if on else h),
    "exponential": dropped(lambda h, on: h * torch.empty_like(h).exponential_(2.0) if on else h),
    "uniform": dropped(lambda h, on: h + torch.empty_like(h).uniform_(-0.1, 0.1) if on else h),
    "truncated": dropped(lambda h, on: h + nn.init.trunc_normal_(torch.empty_like(h), std=0.1) if on else h),
    "dirichlet": dropped(lambda h, on: h * torch.distributions.Dirichlet(h.abs() + 1).rsample() if on else h),
    "gamma": dropped(lambda h, on: h * torch.distributions.Gamma(h.abs() + 1, 1.0).rsample() if on else h),
    "categorical": dropped(lambda h, on: h * torch.distributions.Categorical(logits=h).sample()[:, None] if on else h),
    "one number decides": dropped(lambda h, on: torch.where(torch.rand(()) < 0.5, h, h.flip(1)) if on else h),
    "shift by chance": dropped(lambda h, on: h.roll(int(torch.randint(0, 4, ())), 1) if on else h),
    "patches left out": dropped(lambda h, on: h.gather(1, torch.rand_like(h).argsort(1)) if on else h),
    "functional dropout always on": dropped(lambda h, on: F.dropout(h, 0.2)),
    "single precision": dropped(lambda h, on: h + 0.1 * torch.randn(h.shape) if on else h),
    "attention": lambda m, x: m.b(F.scaled_dot_product_attention(
        m.a(x).view(-1, 2, 2), x.view(-1, 2, 2), x.view(-1, 2, 2), dropout_p=0.3 * m.training).flatten(1)),
    "numpy mask": dropped(lambda h, on: h * torch.from_numpy(np.random.binomial(1, 0.7, h.shape)) if on else h),
    "two drawn, one used": dropped(lambda h, on: (torch.randn_like(h), h + 0.1 * torch.randn_like(h))[1] if on else h),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NOISE)
def test_noise_is_drawn_as_the_loop_draws_it(name: str) -> None:
    free, loop = (compared(problem(partial(Of, ab, c), train=numbers(41, 1)), ["sgd"], seeds=2)
                  for c in (NOISE[name], partial(looking, NOISE[name])))  # fmt: skip
    assert executions(loop) == {"loop"}
    assert not any(run.failure for run in (*free.runs, *loop.runs))
    ours, theirs = ([m.validation_loss for run in r.runs for m in run.curve] for r in (free, loop))
    assert ours == pytest.approx(theirs, rel=1e-7), executions(free)


def mlp() -> nn.Module:
    return nn.Sequential(L(4, 4), nn.Tanh(), L(4, 1))


class Running(nn.Module):
    """A loss divided by its own moving average, kept in a buffer while gradients are on."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones((), dtype=torch.float64))
        self.w, self.how = P(torch.zeros((), dtype=torch.float64)), how

    def forward(self, o: Tensor, t: Tensor) -> Tensor:
        loss = F.mse_loss(o, t)
        if self.how == "uncertainty":
            return loss * (-self.w).exp() + self.w
        if self.how == "threshold":
            return torch.where(loss < 2.0, loss * 0.5, loss)
        return F.mse_loss(o, t, reduction=self.how) / t.numel() ** (self.how == "sum")


def batched_penalty(o: Tensor, t: Tensor) -> Tensor:
    return F.mse_loss(o, t) + (1e-2 * o.std() if len(o) > 1 and o.requires_grad else 0)


def only_in_training(o: Tensor, t: Tensor) -> Tensor:
    return F.mse_loss(o, t) * (2.0 if torch.is_grad_enabled() else 1.0)


LOSSES = {
    "uncertainty": Running("uncertainty"), "threshold": Running("threshold"), "sum by count": Running("sum"),
    "penalty": batched_penalty, "only in training": only_in_training,
    "log cosh": lambda o, t: torch.log(torch.cosh(o - t)).mean(),
    "correlation": lambda o, t: 1 - torch.corrcoef(torch.cat([o, t], 1).T)[0, 1] if len(o) > 1 else o.sum() * 0,
    "trimmed": lambda o, t: (o - t).square().flatten().sort()[0][: max(1, int(0.8 * len(o)))].mean(),
    "harder than the median": lambda o, t: ((e := (o - t).square()) * (e >= e.median())).mean(),
}  # fmt: skip


@pytest.mark.parametrize("samples", [40, 41])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_trains_as_by_hand(name: str, samples: int) -> None:
    held(mlp, train=numbers(samples, 1), loss=LOSSES[name], metric=lower(F.mse_loss))


X, Y = numbers(40, 1)
DATA = {
    "transposed": (X.T.contiguous().T, Y), "expanded": (X[:1].expand(40, 4), Y), "strided": (X.repeat(2, 1)[::2], Y),
    "targets that ask for gradients": (X, Y.clone().requires_grad_()), "a view of one": (torch.cat([X, Y], 1)[:, :4],
    torch.cat([X, Y], 1)[:, 4:]), "numpy's": (torch.from_numpy(X.numpy().copy(order="F")), Y), "single": (X, Y.float()),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_data_of_kind(name: str) -> None:
    held(mlp, train=DATA[name], loss=lambda o, t: F.mse_loss(o, t.to(o)))


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 64}, {"batch_size": 39}, {"epochs": 1}], ids=str)
def test_batches(options: dict[str, Any]) -> None:
    held(mlp, **options)


@pytest.mark.parametrize(
    "options", [{"base_seed": 2**31 - 1002}, {"clip_norm": 1e-9}, {"learning_rates": [1e-12, 1e3]}], ids=str
)
def test_options(options: dict[str, Any]) -> None:
    held(mlp, options=options)


class Hypergradient(torch.optim.SGD):
    """Its rate learns by autograd within its step, as every loop that has gradients on allows."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr)
        self.scale = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def step(self, closure: Any = None) -> None:
        loss = sum((p.grad * self.scale.exp() + self.scale).square().sum() for p in self.param_groups[0]["params"])
        (g,) = torch.autograd.grad(loss, self.scale)
        self.scale.data -= 1e-3 * g
        for p in self.param_groups[0]["params"]:
            p.data.add_(p.grad * self.scale.detach().exp(), alpha=-self.param_groups[0]["lr"])


def test_an_optimizer_that_learns_within_its_step() -> None:
    OPTIMIZERS["own"] = Hypergradient
    workload = problem(mlp)
    result = compared(workload, [f"{__name__}:Hypergradient"])
    for run in result.runs:
        assert not run.failure, run.failure
        losses, _ = trained(workload, "own", run.learning_rate, run.seed)
        assert [m.validation_loss for m in run.curve] == pytest.approx(losses, rel=1e-7)
