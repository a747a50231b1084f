"""Round 4: evaluation that leaves traces, batches of one, metrics of others, buffers of odd kinds, resuming."""

import collections
import itertools
import queue
import random
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as skm
import torch
import torch.nn.functional as F
from by_hand import compared, held, numbers, problem
from round3 import lower
from test_round3_compare_state import outcome
from test_round4_compare import AUTO, GPT, KINDS, TEXT, VAE, Diffusion, denoised, elbo
from torch import Tensor, nn

import thalweg


class Seen(nn.Module):
    """What it has seen so far is in buffers, in training and evaluation alike."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.out, self.kind = nn.Linear(4, 1), kind
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "steps":
            self.steps += 1
        elif self.kind == "assigned":
            self.steps = self.steps + 1
        elif self.kind == "looks":
            self.steps += 1
            x.sum().item()
        elif self.kind == "mean":
            self.mean.lerp_(x.mean(0), 0.2)
        else:
            self.steps += 1
            return self.out(x) * (
                0.97 ** (self.steps - 8).clamp(min=0) if self.kind == "late" else 1 - self.steps / 2e4
            )
        return self.out(x - self.mean) * 0.97**self.steps


@pytest.mark.parametrize(
    "kind",
    ["steps", "assigned", "mean", "looks", "late", "slow"],
)
def test_buffers_that_move_in_evaluation_too(kind: str) -> None:
    held(lambda: Seen(kind))


def test_a_count_that_moves_in_evaluation_is_no_randomness() -> None:
    assert not any("cannot be repeated" in note for note in compared(problem(lambda: Seen("steps"))).study.notes)


class Beside(nn.Linear):
    """A penalty of shape [1] beside its answers."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x), 0.1 * self.weight.square().sum()[None]


class Trimmed(nn.Module):
    """Answers as long as the longest of the batch, as pad_packed_sequence gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.cell, self.out = nn.Embedding(7, 3), nn.GRU(3, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            self.words(x), (x > 0).sum(1), batch_first=True, enforce_sorted=False
        )
        return self.out(nn.utils.rnn.pad_packed_sequence(self.cell(packed)[0], batch_first=True)[0])[..., 0]


def trimmed(o: Tensor, t: Tensor) -> Tensor:
    t = t[:, : o.shape[1]]
    return ((o - t).square() * (t != 0)).sum() / (t != 0).sum()


def ragged(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    x = torch.randint(1, 7, (samples, 9), generator=torch.Generator().manual_seed(seed))
    lengths = torch.full((samples,), 5)
    lengths[0] = 9
    x[torch.arange(9) >= lengths[:, None]] = 0
    return x, x.double() / 7


def fit(o: Any, t: Tensor) -> Tensor:
    return F.mse_loss(o[0], t)


def added(o: Any, t: Tensor) -> Tensor:
    return fit(o, t) + o[1].sum()


SPLITS: dict[str, Any] = {
    "a penalty, batches of one": (
        lambda: Beside(4, 1), {"batch_size": 1, "train": numbers(12, 1), "loss": added, "metric": lower(fit)}
    ),
    "a penalty, one sample": (lambda: Beside(4, 1), {"train": numbers(1, 1), "loss": added, "metric": lower(fit)}),
    "as long as the longest": (Trimmed, {"train": ragged(40, 1), "loss": trimmed, "metric": lower(trimmed)}),
}  # fmt: skip


@pytest.mark.parametrize("name", SPLITS)
def test_300_samples_to_validate(name: str) -> None:
    model, changes = SPLITS[name]
    validation = ragged(300, 2) if model is Trimmed else numbers(300, 2)
    held(model, validation=validation, options={"learning_rates": [0.01]}, **changes)


def r2(y_true: Tensor, y_pred: Tensor) -> float:
    return float(1 - (y_true - y_pred).square().sum() / (y_true - y_true.mean()).square().sum())


def as_scikit_learns(y_true: Tensor, y_pred: Tensor) -> float:
    return float(skm.r2_score(y_true, y_pred))


@pytest.mark.parametrize("metric", [r2, partial(r2), as_scikit_learns, wraps(skm.r2_score)(r2)])
def test_a_metric_that_takes_targets_first_is_refused(metric: Any) -> None:
    with pytest.raises(thalweg.InputError, match=r"takes \(y_true, y_pred\), and is called with outputs first: give"):
        thalweg.Metric(metric, higher_is_better=True)


def test_accuracy_over_as_many_places_as_classes_is_refused() -> None:
    class Tags(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.words(x).transpose(1, 2)

    x = torch.randint(0, 6, (60, 6), generator=torch.Generator().manual_seed(1))
    y = (x * 5 + 1) % 6
    workload = problem(
        Tags, train=(x[:40], y[:40]), validation=(x[40:], y[40:]), metric="accuracy",
        loss=lambda o, t: F.cross_entropy(o, t, label_smoothing=0.1),
    )  # fmt: skip
    with pytest.raises(thalweg.InputError, match=r"cannot tell classes from places in outputs \[\d+, 6, 6\]"):
        compared(workload, ["sgd"], learning_rates=[1.0])


ADJACENT = torch.eye(4).double() / 2 + torch.eye(4).double().roll(1, 0) / 2


class Convolves(nn.Module):
    """A graph's adjacency as a sparse buffer, or as an attribute."""

    def __init__(self, layout: str, *, buffer: bool) -> None:
        super().__init__()
        self.out = nn.Linear(4, 1)
        adjacent = ADJACENT.to_sparse() if layout == "coo" else ADJACENT.to_sparse_csr()
        if buffer:
            self.register_buffer("adjacent", adjacent)
        else:
            self.adjacent = adjacent

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.sparse.mm(self.adjacent, x.t()).t())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("buffer", [True, False])
@pytest.mark.parametrize("layout", ["coo", "csr"])
def test_a_sparse_matrix_of_a_graph(layout: str, buffer: bool, tmp_path: Path) -> None:
    if buffer:
        with pytest.raises(thalweg.InputError, match="'adjacent' of 'own' is sparse: keep it as a plain attribute"):
            held(lambda: Convolves(layout, buffer=True))
        return
    held(lambda: Convolves(layout, buffer=False), options={"out": tmp_path})


class Settings:
    """Attributes out of a dict, as many write it: what is missing is a KeyError."""

    def __init__(self) -> None:
        self.__dict__["values"] = {"n": 0}

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["values"][name]

    def strength(self) -> float:
        self.values["n"] += 1
        return 1.0 if self.n <= 12 else 0.1


STRENGTHS = [1.0] * 12 + [0.1] * 90


def waiting(made: Any) -> Any:
    for strength in STRENGTHS:
        made.put(strength)
    return made.get


SOURCES: dict[str, Callable[[], Any]] = {
    "a generator": lambda: (s for s in STRENGTHS).__next__, "a chain": lambda: itertools.chain(STRENGTHS),
    "an iterator": lambda: iter(STRENGTHS),
    "Random": lambda: random.Random(3).random, "NumPy": lambda: np.random.default_rng(3).random,
    "RandomState": lambda: np.random.RandomState(3).random, "next": lambda: partial(next, iter(STRENGTHS)),
    "a Series": lambda: map(float, pd.Series(STRENGTHS)), "an array of tensors": lambda: iter(torch.tensor(STRENGTHS)),
    "a method of an iterator": lambda: iter(STRENGTHS).__next__, "a method of a list": lambda: STRENGTHS[::-1].pop,
    "a method of a deque": lambda: collections.deque(STRENGTHS).popleft,
    "send": lambda: partial((s for s in STRENGTHS).send, None),
    "an array, flat": lambda: np.array(STRENGTHS).flat, "nditer": lambda: np.nditer(np.array(STRENGTHS)),
    "a queue": lambda: waiting(queue.Queue()),
    "settings": lambda: Settings().strength,
}  # fmt: skip
SEEN = {"a chain", "an iterator", "Random", "NumPy", "RandomState", "next", "a Series", "an array of tensors"}


class Drops(nn.Module):
    """Its strength comes of a source that is hard to look into, and changes after 12 steps."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.out, self.source = nn.Linear(4, 1), SOURCES[kind]()

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.out(x)
        return self.out(x) * float(self.source() if callable(self.source) else next(self.source))


@pytest.mark.parametrize("kind", SOURCES)
def test_a_strength_by(kind: str) -> None:
    held(lambda: Drops(kind), optimizers=["sgd"], options={"learning_rates": [0.02]})


RESUMED: dict[str, Callable[[], nn.Module]] = {
    "steps": lambda: Seen("steps"), **{f"a strength by {k}": partial(Drops, k) for k in SEEN},
}  # fmt: skip
MORE: dict[str, Any] = {
    "GPT": (lambda: GPT(0.3), TEXT), "VAE": (VAE, {**AUTO, "loss": elbo, "metric": lower(elbo)}),
    "diffusion": (Diffusion, {**AUTO, "loss": denoised, "metric": lower(denoised)}), **KINDS,
    **{name: (model, {}) for name, model in RESUMED.items()},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(MORE))
def test_resumed_it_ends_as_one_that_was_not(name: str, tmp_path: Path) -> None:
    model, changes = MORE[name]
    workload = problem(model, **changes)
    whole = outcome(workload, None)
    with pytest.raises(thalweg.InputError, match="stopped"):
        outcome(workload, tmp_path, after=8)
    again = outcome(workload, tmp_path)
    assert (again.failure, again.curve) == (whole.failure, whole.curve)
