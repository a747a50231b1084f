"""Models that interfere with their gradients or their parameters while they train: as by hand, or said."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import SINGLE, compared, held, problem
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import thalweg


class Clipped(nn.Linear):
    """Its gradients are clipped by hooks, as those of recurrent models are; at first none is large."""

    def __init__(self) -> None:
        super().__init__(4, 1)
        for p in self.parameters():
            p.register_hook(lambda g: g.clamp(-20, 20))


def test_hooks_that_clip_gradients_which_grow_late() -> None:
    """At the higher rate gradients grow: by hand they are held at 20, and the run does not blow up."""
    held(Clipped, optimizers=["sgd"], options={"learning_rates": [0.01, 0.8]}, epochs=6)


def test_a_hook_on_a_parameter_that_scales() -> None:
    class Scaled(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 1)
            self.weight.register_hook(lambda g: 0.5 * g)

    held(Scaled)


def halve(parameter: Tensor) -> None:
    parameter.grad.mul_(0.5)


def test_a_hook_after_the_gradient_is_there() -> None:
    class Halved(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 1)
            self.weight.register_post_accumulate_grad_hook(halve)

    held(Halved)


def test_a_backward_hook_on_a_module() -> None:
    class Noted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.out = nn.Linear(4, 3), nn.Linear(3, 1)
            self.out.register_full_backward_hook(lambda m, i, o: tuple(-0.1 * g for g in i))

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.tanh(self.first(x)))

    held(Noted)


def test_a_hook_on_an_activation() -> None:
    class Reversed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.out = nn.Linear(4, 3), nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            h = torch.tanh(self.first(x))
            if h.requires_grad:
                h.register_hook(lambda g: -0.1 * g)
            return self.out(h)

    held(Reversed)


class Reverse(torch.autograd.Function):
    """Gradient reversal in the old style."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return -0.3 * g


class Straight(torch.autograd.Function):
    """Rounding whose gradient passes through, for vmap too."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return (4 * x).round() / 4

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * (ctx.saved_tensors[0].abs() < 2)


@pytest.mark.parametrize("function", [Reverse, Straight], ids=["reversal", "straight through"])
def test_gradients_of_ones_own(function: Any) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.out = nn.Linear(4, 3), nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(function.apply(self.first(x)))

    held(Own)


class Remembers(nn.Module):
    """Its parameter stands in a list too, of which the penalty in its output is made."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.out, self.share = nn.Linear(60, 1, bias=False), share
        self.penalized = [self.out.weight]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.out(x), self.share * sum(p.square().sum() for p in self.penalized)


def penalized(outputs: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
    return F.mse_loss(outputs[0], targets) + outputs[1]


def error(outputs: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
    return F.mse_loss(outputs[0], targets)


SHARES = {"large": 0.1, "small": 0.02}


@pytest.mark.parametrize("size", [*SHARES])
def test_a_penalty_on_parameters_that_a_list_remembers(size: str) -> None:
    """In float32, where a small one lies below what the check before training lets pass."""
    share = SHARES[size]
    x = torch.randn(60, 60, generator=torch.Generator().manual_seed(0))
    y = 4 * x[:, :5].sum(1, keepdim=True)
    workload = problem(
        lambda: Remembers(share), own=True, train=(x[:40], y[:40]), validation=(x[40:], y[40:]), loss=penalized,
        metric=thalweg.Metric(error, higher_is_better=False), epochs=200,
    )  # fmt: skip
    held(workload, optimizers=["sgd"], close=SINGLE, options={"learning_rates": [5e-3, 1e-2]})


class Recomputed(nn.Module):
    """A block with dropout whose activations are computed again on the way back, or are kept."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 32), nn.Dropout(0.5), nn.Tanh())
        self.out, self.way = nn.Linear(32, 1), way

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "kept" or not self.training:
            return self.out(self.block(x))
        if self.way == "reentrant":
            x = x.clone().requires_grad_()
        return self.out(checkpoint(self.block, x, use_reentrant=self.way == "reentrant"))


@pytest.mark.parametrize("way", ["reentrant", "not reentrant"])
def test_activation_checkpointing_of_dropout_is_refused(way: str) -> None:
    """Dropout would draw others when a block is computed again, and gradients be of another network: refused."""
    with pytest.raises(thalweg.InputError, match="checkpoint"):
        compared(problem(lambda: Recomputed(way)), ["sgd"])


def test_a_penalty_on_the_gradient_of_the_inputs() -> None:
    class Smooth(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.out = nn.Linear(4, 6), nn.Linear(6, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                y = self.out(torch.tanh(self.first(x)))
                (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
            return y, 0.1 * slope.square().mean()

    held(Smooth, loss=penalized, metric=thalweg.Metric(error, higher_is_better=False))


def test_clipping_by_the_norm_of_gradients_that_hooks_clipped() -> None:
    held(Clipped, optimizers=["sgd"], options={"clip_norm": 0.5})


def test_a_model_that_reads_its_gradients() -> None:
    """By hand they are those of the last step, in evaluation; zero_grad took them away in training."""

    class Reads(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * (1.0 if self.weight.grad is None else 0.5)

    held(lambda: Reads(4, 1))
