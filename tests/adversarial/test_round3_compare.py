"""Round 3, models: what is drawn in their making, drawn late, or shared by all that are made."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, held, numbers, problem
from round3 import BOTH
from torch import Tensor, nn

import thalweg

# ---------------------------------------------------------------- drawn in the making, kept in a plain attribute


class Fourier(nn.Module):
    """Random Fourier features in a plain tensor, as many write them."""

    def __init__(self) -> None:
        super().__init__()
        self.directions, self.out = torch.randn(4, 6, dtype=torch.float64), nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.sin(x @ self.directions))


class Permuted(nn.Module):
    """A flow's permutation, drawn by numpy."""

    def __init__(self) -> None:
        super().__init__()
        self.places, self.out = np.random.permutation(4), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(x[:, self.places] * torch.arange(4)))


class Chosen(nn.Module):
    """An activation by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.f = random.choice([torch.tanh, torch.sin, torch.relu])
        self.first, self.out = nn.Linear(4, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.f(self.first(x)))


class Closed(nn.Module):
    """A number by chance in a closure."""

    def __init__(self) -> None:
        super().__init__()
        scale, self.out = random.random(), nn.Linear(4, 1)
        self.scaled = lambda x: x * scale

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.scaled(x))


class Lottery(nn.Module):
    """A layer that is frozen by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(4, 3), nn.Linear(3, 1)
        if random.random() < 0.5:
            self.first.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.first(x)))


class FromStart(nn.Module):
    """It remembers where its weight began, as a penalty on the way from there needs it."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 1)
        self.start = self.out.weight.detach().clone().double()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, 2 * self.out.weight - self.start, self.out.bias)


class Distilled(nn.Module):
    """A random network that is no part of it, to be told from."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.target = nn.Linear(4, 1), [nn.Linear(4, 1).double().requires_grad_(False)]

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x) - self.target[0](x)


class Registered(Fourier):
    def __init__(self) -> None:
        super().__init__()
        directions = self.directions
        del self.directions
        self.register_buffer("directions", directions)


class Width(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        wide = random.choice([3, 5, 7])
        self.first, self.out = nn.Linear(4, wide), nn.Linear(wide, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.first(x)))


SEED = "what model() draws into a plain attribute is the first seed's in every run of a population"
DRAWN = [
    Fourier, Permuted, FromStart, Distilled, Chosen, Closed, Lottery, Registered, Width,
]  # fmt: skip


@pytest.mark.parametrize("model", DRAWN)
def test_what_is_drawn_in_the_making_is_each_seeds_own(model: Callable[[], nn.Module]) -> None:
    held(model, options={"seeds": 4})


def test_fresh_seeds_of_a_study_with_one_tuning_seed_are_caught_beside_the_live_model() -> None:
    held(Fourier, options={"seeds": 1, "confirm_seeds": 2})


def test_populations_of_one_seed_each_have_their_own_random_features() -> None:
    """24 runs of a seed make a population of their own, by one program; the first that ends an epoch is trusted."""
    held(Fourier, optimizers=["sgd"], options={"seeds": 3, "learning_rates": [0.001 * i for i in range(1, 25)]})


# ---------------------------------------------------------------- drawn late, or by a seed of one's own


class Warm(nn.Module):
    """It draws after seven steps only."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first, self.out, self.drop, self.calls, self.kind = nn.Linear(4, 16), nn.Linear(16, 1), 0.0, 0, kind

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        if self.training:
            self.calls += 1
            if self.kind == "annealed":
                h, self.drop = F.dropout(h, self.drop), min(0.5, self.drop + 0.05)
            elif self.kind == "late" and self.calls > 7:
                h = F.dropout(h, 0.5)
            elif self.kind == "late by numpy" and self.calls > 7:
                h = h * np.random.rand()
            elif self.kind == "a rare batch" and bool((x > 50).any()):
                h = h + torch.randn_like(h)
        return self.out(h)


UNSEEDED = "a model that draws only after the look at it draws from the process's generator, unseeded and unsaid"


@pytest.mark.parametrize("kind", ["late", "late by numpy", "annealed", "a rare batch"])
def test_late_random_numbers_are_the_runs_own(kind: str) -> None:
    """Two comparisons find the same, and the caller's generator is left alone."""
    x, y = numbers(121, 1)
    x[115, 0] = 100.0
    given = {"train": (x, y)} if kind == "a rare batch" else {}
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.get_rng_state()
        result = compared(problem(lambda: Warm(kind), **given), ["adam"], learning_rates=[0.02])
        found.append([m.validation_loss for run in result.runs for m in run.curve])
        untouched = torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1]
    assert untouched


class OwnSeed(nn.Linear):
    """The same noise at every call, by a seed of its own."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            noise = torch.randn(4, dtype=torch.float64)
        return super().forward(x + noise)


class OwnGenerator(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.randn(4, generator=torch.Generator().manual_seed(3), dtype=x.dtype))


class Carried(nn.Linear):
    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.generator = torch.Generator().manual_seed(torch.initial_seed() % 2**31)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.randn(x.shape, generator=self.generator, dtype=x.dtype) * self.training)


@pytest.mark.parametrize("model", [OwnGenerator, Carried])
def test_noise_by_a_generator_of_ones_own(model: Any) -> None:
    held(lambda: model(4, 1), options=BOTH)


def test_a_model_that_seeds_the_generator_of_all_is_refused() -> None:
    with pytest.raises(thalweg.InputError, match=r"let it draw from a torch\.Generator of its own"):
        held(lambda: OwnSeed(4, 1))


# ---------------------------------------------------------------- one object that every model is given


class Annealer:
    """Weaker from call to call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> float:
        self.calls += 1
        return 0.99**self.calls


class Anneals(nn.Linear):
    def __init__(self, annealer: Annealer) -> None:
        super().__init__(4, 1)
        self.annealer = annealer

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (self.annealer() if self.training else 1.0)


class Noise(nn.Linear):
    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(4, 1)
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=self.generator, dtype=x.dtype)
        return super().forward(x + noise * self.training)


class Remembers(nn.Linear):
    def __init__(self, bank: Tensor) -> None:
        super().__init__(4, 1)
        self.bank = bank

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.bank.mul_(0.9).add_(x.detach().mean(0), alpha=0.1)
        return super().forward(x + self.bank)


class Logs(nn.Linear):
    def __init__(self, log: list[int]) -> None:
        super().__init__(4, 1)
        self.log = log

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.log.append(len(x))
        return super().forward(x) * 0.99 ** len(self.log)


class Encoded(nn.Module):
    """A backbone in a list, whose batch norm counts whatever passes."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.out = [backbone], nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.backbone[0](x))


GIVEN: dict[str, tuple[Callable[..., nn.Module], Callable[[], Any]]] = {
    "an annealer": (Anneals, Annealer), "a generator": (Noise, torch.Generator), "a log": (Logs, list),
    "a bank": (Remembers, lambda: torch.zeros(4, dtype=torch.float64)),
    "a backbone": (Encoded, lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).double()),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_one_object_that_all_models_are_given(name: str) -> None:
    """Each run depends on those before it, and on those beside it: that is said, and they train one by one."""
    model, make = GIVEN[name]
    given = make()
    try:
        result = compared(problem(lambda: model(given)), ["sgd"], seeds=2)
    except thalweg.InputError as error:
        assert "share" in str(error)  # noqa: PT017
    else:
        assert any("share state" in note for note in result.study.notes)


def test_one_object_for_each_model_is_its_own() -> None:
    held(lambda: Anneals(Annealer()))
    held(lambda: Logs([]))
