"""What the fuzz tests draw from, and the promise that they hold the package to."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

import thalweg
from broken_workloads import each, exits, later, net, raises_in_evaluation, raises_on

PATIENCE = 100.0  # seconds after which an input counts as one that hangs; the slowest take a few


class Hang(BaseException):
    """No `except Exception` on the way may take this for an error of the user's."""


@contextmanager
def no_hang() -> Iterator[None]:
    def late(*_: object) -> None:
        raise Hang

    handler = signal.signal(signal.SIGALRM, late)
    left, _ = signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)  # the test's own limit goes on
        signal.signal(signal.SIGALRM, handler)


def require_one_sentence(text: str) -> None:
    assert text.strip()
    assert "\n" not in text
    assert "Traceback" not in text
    assert text.endswith((".", "?")), text
    assert len(text) < 1500, text


ODD_NUMBERS = st.sampled_from(
    [0, -1, 1, 2, 3, True, None, 0.5, 1e308, 5e-324, 10**30, 10**400, 10**5000, -(2**63), float("nan"), float("inf")]
)
ODD_OBJECTS = st.one_of(
    ODD_NUMBERS,
    st.text(max_size=5),
    st.sampled_from(
        [b"x", [], (), {}, {"lr"}, object(), [None], ["lr", 3], 1j, np.int64(2), np.zeros(2), "a\0b", "\ud800"]
    ),
    st.builds(torch.zeros, st.sampled_from([(), (1,), (3,)])),
)

OPTIMIZERS = st.one_of(
    st.sampled_from([
        "sgd", "adam", "ADAM", " sgd ", "adm", "sgd(", "adam()", "adam(lr=1)", "adam(lr=-1)", "adam(lr='a')", "x=sgd",
        "adam(betas=(0.9, 0.99))", "adam(betas=[])", "adam(betas=3)", "adam(lr=1, lr=2)", "adam(1)", "adam(**{})", ":",
        "=", f"adam(eps={'9' * 400})", "torch.optim:SGD", "torch.optim:SGD(lr=[1])", "torch.optim:Nothing",
        "os:system", ".:A",
        "torch.optim:LBFGS", "rmsprop(alpha=0.9)", "sgd(lr=1e999)", "sgd(lr=" + "(" * 500, "a\nb",
    ]),
    st.text(max_size=8),
)  # fmt: skip


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    """Some arguments of `compare`, most of them odd."""
    rates = st.lists(st.one_of(ODD_NUMBERS, st.floats()), max_size=3)
    small = st.integers(-1, 4)
    strategies: dict[str, st.SearchStrategy[Any]] = {
        "optimizers": st.one_of(st.lists(OPTIMIZERS, max_size=3), ODD_OBJECTS),
        "learning_rates": st.one_of(rates, ODD_OBJECTS),
        "tune": st.one_of(st.lists(st.sampled_from(["lr", "beta1", "eps", "x"]), max_size=2), ODD_OBJECTS),
        "budget": st.one_of(st.sampled_from(["90s", "1h", "soon", "9" * 400 + "h"]), ODD_OBJECTS),
        "memory": st.one_of(st.sampled_from(["4GB", "4", "GB"]), ODD_OBJECTS),
        "device": st.one_of(st.sampled_from(["cpu", "meta", "hpu", "cuda:9", "cpu:-1", "x:y"]), ODD_OBJECTS),
        "out": ODD_OBJECTS.filter(lambda value: not isinstance(value, str)),
        **{name: st.one_of(small, ODD_OBJECTS) for name in ("seeds", "confirm_seeds", "base_seed", "trials")},
        **{name: st.one_of(small, ODD_OBJECTS) for name in ("epochs", "steps", "clip_norm")},
    }
    chosen = draw(st.lists(st.sampled_from(sorted(strategies)), max_size=3, unique=True))
    return {name: draw(strategies[name]) for name in chosen}


FEATURES, CLASSES = 3, 3


def _models() -> list[Any]:
    shared = nn.Linear(FEATURES, CLASSES)
    layer = net(lambda m, x: m.layer(torch.cat([x, x[:, :1]], 1)))  # the nets of `hostile` take four features
    return [
        lambda: nn.Linear(FEATURES, CLASSES),
        lambda: nn.Sequential(nn.Linear(FEATURES, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, CLASSES)),
        lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(FEATURES, CLASSES)),
        lambda: nn.Linear(FEATURES, CLASSES, dtype=torch.float64),
        lambda: nn.Linear(FEATURES, 1),
        lambda: nn.Linear(FEATURES + 1, CLASSES),
        lambda: nn.Embedding(5, CLASSES),
        lambda: shared,
        lambda: nn.LazyLinear(CLASSES),
        lambda: 3,
        nn.Identity,
        layer,
        *(net(of) for of in (raises_in_evaluation, raises_on(2), exits, later(SystemExit(1), 4), later(OSError(), 4))),
        net(lambda m, x: (m.layer.weight.sum(), x)),
        net(lambda m, x: None),
    ]


def _losses() -> list[Any]:
    return [
        F.cross_entropy, nn.CrossEntropyLoss(label_smoothing=0.1), F.mse_loss, each,
        lambda o, t: o.square().mean(), lambda o, t: F.cross_entropy(o, t)[None], lambda o, t: 1.0, lambda o, t: None,
        lambda o, t: o.mean() * float("nan"), lambda o, t: o.argmax(), lambda o: o.mean(),
        lambda o, t: F.cross_entropy(o, t) + 0 * o.detach().sum().item(),
    ]  # fmt: skip


def _metrics() -> list[Any]:
    return [
        "accuracy", "mse", "f1", 3, lambda o, t: 0.5, lambda o, t: "1", lambda o, t: float("nan"), lambda o, t: o,
        lambda o, t: 1 / 0, lambda o, t: t.zero_().sum(), thalweg.Metric("m", lambda o, t: o.sum(0), vectorized=True),
        thalweg.Metric("low", lambda o, t: o.double().mean(), higher_is_better=False, vectorized=True),
    ]  # fmt: skip


@st.composite
def _inputs(draw: st.DrawFn, samples: int) -> Any:
    x = torch.arange(samples * FEATURES).reshape(samples, FEATURES).float().sin()
    broken = x.clone()
    broken.reshape(-1)[:1] = draw(st.sampled_from([float("nan"), float("inf"), 1e38]))
    wide = torch.cat([x, x], 1)
    unusual = [broken, wide, x.double(), x.half(), (x * 2).long().abs(), x[:, :0], x[:-1], x.numpy()[::-1], x.tolist()]
    return draw(st.one_of(st.just(x), st.sampled_from([*unusual, (x, x), (), x.to_sparse(), "x", None, x[:0]])))


@st.composite
def _targets(draw: st.DrawFn, samples: int) -> Any:
    y = torch.arange(samples) % CLASSES
    unusual = [
        y + 1,
        y - 1,
        y * 0,
        y * 10**9,
        y.int(),
        y.byte(),
        y > 0,
        y.float(),
        y[:, None],
        F.one_hot(y, CLASSES) * 1.0,
    ]
    return draw(st.one_of(st.just(y), st.sampled_from([*unusual, y.numpy(), y.tolist(), ["a"] * samples, None, y[:0]])))


@st.composite
def _split(draw: st.DrawFn) -> Any:
    samples = draw(st.integers(1, 9))
    return draw(st.one_of(st.tuples(_inputs(samples), _targets(samples)), st.just(_sound(9)), st.just(_sound(9))))


def _sound(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.arange(samples * FEATURES).reshape(samples, FEATURES).float().cos()
    return x, torch.arange(samples) % CLASSES


@st.composite
def workloads(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of a `Workload` of which some are odd: the more, the rarer it trains."""
    sound: dict[str, Any] = {
        "name": "fuzz", "model": _models()[0], "train": _sound(9), "validation": _sound(6), "test": _sound(6),
        "loss": F.cross_entropy, "metric": "accuracy", "batch_size": 4, "epochs": 1,
    }  # fmt: skip
    strategies: dict[str, st.SearchStrategy[Any]] = {
        "name": st.one_of(st.text(max_size=3), ODD_OBJECTS),
        "model": st.sampled_from(_models()),
        "train": _split(),
        "validation": _split(),
        "test": st.one_of(_split(), st.none()),
        "loss": st.sampled_from(_losses()),
        "metric": st.sampled_from(_metrics()),
        "batch_size": st.one_of(st.integers(-1, 12), ODD_OBJECTS),
        "epochs": st.one_of(st.integers(-1, 2), st.sampled_from([10**9, None, 1.5])),
        "steps": st.one_of(st.integers(-1, 5), st.sampled_from([10**12, None, "3"])),
        "evaluate_every": st.one_of(st.integers(-1, 5), st.sampled_from(["epoch", "day", 10**30])),
        "target": ODD_OBJECTS,
    }
    parts = ("model", "train", "validation", "test", "loss", "metric")
    changed = draw(st.lists(st.sampled_from(parts), min_size=1, max_size=2, unique=True))
    scalars = sorted(set(strategies) - set(parts))
    changed += draw(st.one_of(st.just([]), st.just([]), st.lists(st.sampled_from(scalars), max_size=1)))
    return sound | {name: draw(strategies[name]) for name in changed}
