"""Reference tasks of the range test: models on data, in three parts that share neither.

The first and the second calibrate; on those held out the coverage is measured. Sizes are drawn by a seed. Generated
data are large enough in validation that 1% of a loss is more than the noise of its samples.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional as F

import thalweg
from thalweg.workloads.catalogue import load

TRAIN, VALIDATION = 1500, 2000
BATCHES, LENGTHS, WIDTHS = (16, 32, 64), (150, 250, 400, 600), (24, 48, 96)

DRAWN = {"first": "range test, fit", "second": "range test, conformal", "held out": "range test, held out"}
"""Seeds of the sizes."""

Arrays = tuple[Tensor, Tensor]
Model = Callable[[int, int, int], nn.Module]


def classes(x: np.ndarray, y: np.ndarray) -> Arrays:
    return standard(x), torch.as_tensor(np.asarray(y)).long()


def numbers(x: np.ndarray, y: np.ndarray) -> Arrays:
    return standard(x), standard(np.asarray(y)[:, None])


def standard(x: np.ndarray) -> Tensor:
    values = torch.as_tensor(np.asarray(x)).float()
    return (values - values.mean(0)) / (values.std(0) + 1e-6)


def teacher(seed: int, outputs: int, act: Callable[[Tensor], Tensor], noise: float, inputs: int = 20) -> Arrays:
    """Answers of a random network: of its greatest output, or the output itself."""
    g, n = torch.Generator().manual_seed(seed), TRAIN + VALIDATION
    x, first = torch.randn(n, inputs, generator=g), torch.randn(inputs, 30, generator=g) / inputs**0.5
    out = act(x @ first) @ torch.randn(30, outputs, generator=g) / 30**0.5
    out = out + noise * out.std() * torch.randn(n, outputs, generator=g)
    return (x, (out - out.mean(0)) / out.std(0)) if outputs == 1 else (x, out.argmax(1))


def pictures(name: str, data_dir: Path, seed: int) -> Arrays:
    """Some training images of MNIST or Fashion-MNIST."""
    whole = load(name, data_dir)
    chosen = torch.randperm(len(whole.train), generator=torch.Generator().manual_seed(seed))[: TRAIN + VALIDATION]
    batch = whole.train.at(chosen)
    return batch.inputs[0].flatten(1), batch.targets


def spirals(seed: int, turns: float = 1.2, arms: int = 3) -> Arrays:
    """Interleaved spirals in the plane."""
    rng, n = np.random.default_rng(seed), TRAIN + VALIDATION
    arm, r = rng.integers(arms, size=n), rng.random(n) ** 0.5
    angle = 2 * np.pi * (turns * r + arm / arms) + 0.25 * rng.standard_normal(n)
    return classes(np.c_[r * np.cos(angle), r * np.sin(angle)], arm)


def hastie(seed: int) -> Arrays:
    x, y = datasets.make_hastie_10_2(N, random_state=seed)
    return classes(x, y > 0)


def digits() -> Arrays:
    return classes(*datasets.load_digits(return_X_y=True))


N = TRAIN + VALIDATION
DATA: dict[str, dict[str, Callable[[], Arrays]]] = {
    "first": {
        "clusters": lambda: classes(
            *datasets.make_classification(N, 30, n_informative=10, n_classes=4, random_state=1)
        ),
        "friedman1": lambda: numbers(*datasets.make_friedman1(N, 10, noise=1.5, random_state=3)),
        "linear": lambda: numbers(*datasets.make_regression(N, 40, n_informative=20, noise=60.0, random_state=5)),
        "tanh teacher": lambda: teacher(6, 5, torch.tanh, 0.3),
        "spirals": lambda: spirals(11),
    },
    "second": {
        "quantiles": lambda: classes(*datasets.make_gaussian_quantiles(n_samples=N, n_features=6, random_state=2)),
        "friedman2": lambda: numbers(*datasets.make_friedman2(N, noise=120.0, random_state=4)),
        "relu teacher": lambda: teacher(12, 1, torch.relu, 0.4, inputs=40),
        "circles": lambda: classes(*datasets.make_circles(N, noise=0.15, factor=0.6, random_state=13)),
        "blobs": lambda: classes(
            *datasets.make_blobs(N, 15, centers=8, cluster_std=6.0, random_state=14)
        ),
    },
    "held out": {
        "digits": digits,
        "moons": lambda: classes(*datasets.make_moons(N, noise=0.25, random_state=7)),
        "friedman3": lambda: numbers(*datasets.make_friedman3(N, noise=0.2, random_state=8)),
        "sine teacher": lambda: teacher(9, 3, torch.sin, 0.2, inputs=12),
        "hastie": lambda: hastie(10),
    },
}  # fmt: skip
PICTURES = {"first": "mnist", "held out": "fashion-mnist"}


def mlp(sizes: tuple[int, ...], act: Callable[[], nn.Module], norm: bool = False, drop: float = 0.0) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes[:-1]):
        layers += [nn.Linear(a, b), *([nn.BatchNorm1d(b)] if norm else []), act()]
        layers += [nn.Dropout(drop)] if drop else []
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


class Residual(nn.Module):
    """Blocks of layer norm and two layers, each added to its input."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        block = lambda: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))  # noqa: E731
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.blocks = nn.ModuleList(block() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


MODELS: dict[str, dict[str, Model]] = {
    "first": {
        "linear": lambda i, w, o: nn.Linear(i, o),
        "relu": lambda i, w, o: mlp((i, w, o), nn.ReLU),
        "deep tanh": lambda i, w, o: mlp((i, w, w, w, o), nn.Tanh),
        "batch norm": lambda i, w, o: mlp((i, w, w, o), nn.ReLU, norm=True),
    },
    "second": {
        "deep relu": lambda i, w, o: mlp((i, w, w, w, o), nn.ReLU),
        "silu": lambda i, w, o: mlp((i, w, w, o), nn.SiLU),
        "dropout": lambda i, w, o: mlp((i, w, w, o), nn.ReLU, drop=0.1),
        "batch norm, elu": lambda i, w, o: mlp((i, w, o), nn.ELU, norm=True),
    },
    "held out": {
        "tanh": lambda i, w, o: mlp((i, w, o), nn.Tanh),
        "deep gelu": lambda i, w, o: mlp((i, w, w, w, w, o), nn.GELU),
        "leaky, dropout": lambda i, w, o: mlp((i, w, w, o), nn.LeakyReLU, drop=0.2),
        "residual": lambda i, w, o: Residual(i, w, o),
    },
}


@dataclass(frozen=True)
class Pair:
    """A model on data, of some sizes."""

    part: str
    data: str
    model: str
    width: int
    batch: int
    steps: int

    @property
    def name(self) -> str:
        return f"{self.model} ({self.width}) on {self.data}, batch {self.batch}, {self.steps} steps"

    def workload(self, data_dir: Path | None) -> thalweg.Workload:
        x, y = self._data(data_dir)
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        x, y, train = x[order], y[order], min(TRAIN, len(x) // 2)
        outputs = y.shape[1] if y.is_floating_point() else int(y.max()) + 1
        return thalweg.Workload(
            name=self.name,
            model=partial(MODELS[self.part][self.model], x.shape[1], self.width, outputs),
            train=(x[:train], y[:train]),
            validation=(x[train:], y[train:]),
            loss=F.mse_loss if y.is_floating_point() else F.cross_entropy,
            metric="loss",
            batch_size=self.batch,
            steps=self.steps,
            evaluate_every=self.steps,
        )

    def _data(self, data_dir: Path | None) -> Arrays:
        if self.data in DATA[self.part]:
            return DATA[self.part][self.data]()
        assert data_dir is not None
        return pictures(self.data, data_dir, 0)


def pairs(part: str, data_dir: Path | None) -> list[Pair]:
    """All models of a part on all its data, in an order in which the first few differ in both."""
    rng = random.Random(DRAWN[part])
    data = [*DATA[part], *([PICTURES[part]] if data_dir is not None and part in PICTURES else [])]
    models = [*MODELS[part]]
    crossed = [(d, models[(i + k) % len(models)]) for k in range(len(models)) for i, d in enumerate(data)]
    sizes = [(rng.choice(WIDTHS), rng.choice(BATCHES), rng.choice(LENGTHS)) for _ in crossed]
    return [Pair(part, d, m, *size) for (d, m), size in zip(crossed, sizes, strict=True)]
