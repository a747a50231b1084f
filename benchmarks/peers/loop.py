"""The plain PyTorch training loop, as anyone would write it: in the benchmark's own process, or as a child."""

import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from peers.serving import serve

BATCH = 32
CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {}),
    "rmsprop": ("RMSprop", {}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "adamax": ("Adamax", {}),
    "nadam": ("NAdam", {}),
    "adabound": ("Adam", {}),  # torch has none; Adam's work is the nearest
}
"""The textbooks' optimizers as torch spells them."""

Data = tuple[Tensor, Tensor]
_held: dict[str, Tensor] = {}


def optimizer(name: str, parameters: Iterable[Tensor], lr: float, **flags: Any) -> torch.optim.Optimizer:
    spelling, fixed = CLASSES[name]
    made: torch.optim.Optimizer = getattr(torch.optim, spelling)(parameters, lr=lr, **fixed, **flags)
    return made


def mlp(widths: Iterable[int]) -> nn.Sequential:
    """ReLU between linear layers."""
    layers = [layer for inputs, outputs in pairwise(widths) for layer in (nn.Linear(inputs, outputs), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


def train(
    model: nn.Module,
    updates: torch.optim.Optimizer,
    data: Data,
    epochs: int,
    seed: int,
    valid: Data | None = None,
    batch: int = BATCH,
) -> list[float]:
    """Trains a model; its accuracy on `valid`, where given, after each epoch."""
    x, y = data
    order = torch.Generator().manual_seed(seed)
    accuracies = []
    for _ in range(epochs):
        for index in torch.randperm(len(y), generator=order).split(batch):
            updates.zero_grad()
            nn.functional.cross_entropy(model(x[index]), y[index]).backward()
            updates.step()
        if valid is not None:
            accuracies.append(accuracy(model, valid))
    return accuracies


def accuracy(model: nn.Module, data: Data) -> float:
    model.eval()
    with torch.no_grad():
        share = float((model(data[0]).argmax(1) == data[1]).float().mean())
    model.train()
    return share


def load(path: str, threads: int) -> None:
    """Reads a file of arrays, `x` and `y` (and `x_valid`, `y_valid`), and takes so many threads."""
    torch.set_num_threads(threads)
    with np.load(path) as arrays:
        _held.update({name: torch.from_numpy(arrays[name]) for name in arrays.files})


def split(name: str = "") -> Data:
    return _held[f"x{name}"], _held[f"y{name}"]


def adam_loop(widths: list[int], epochs: int) -> float:
    """Seconds to train one model by Adam."""
    model = mlp(widths)
    began = time.perf_counter()
    train(model, optimizer("adam", model.parameters(), 1e-3), split(), epochs, seed=0)
    return time.perf_counter() - began


def runs(widths: list[int], chosen: list[tuple[str, float, int]], epochs: int) -> float:
    """Seconds to train a model for each (optimizer, learning rate, seed), validated after each epoch."""
    began = time.perf_counter()
    for name, lr, seed in chosen:
        validated(widths, name, lr, seed, epochs)
    return time.perf_counter() - began


def validated(widths: list[int], name: str, lr: float, seed: int, epochs: int) -> float:
    """The accuracy at the end of one such run."""
    torch.manual_seed(seed)
    model = mlp(widths)
    return train(model, optimizer(name, model.parameters(), lr), split(), epochs, seed, split("_valid"))[-1]


if __name__ == "__main__":
    serve(("torch",), load, adam_loop, runs)
