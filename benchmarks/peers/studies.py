"""Comparisons of whichever Thalweg this process imports, for `versions.py`: populations, plain loops, whole studies."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import pairwise

import torch

import thalweg
from peers.serving import serve

SAMPLES = 1600
FEW, MANY = (
    700,
    1500,
)  # steps, between which the time of a step is the slope; both are enough to compile native code for


class Counting(torch.nn.Module):
    """The textbook's MLP with a counter in Python, which makes the plain loop train it."""

    def __init__(self, counts: bool) -> None:
        super().__init__()
        sizes = (784, 100, 100, 100, 10)
        layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.layers = torch.nn.Sequential(*[m for layer in layers for m in (layer, torch.nn.ReLU())][:-1])
        self.calls, self._counts = 0, counts

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self._counts
        return self.layers(x)


@cache
def noise(counts: bool, steps: int) -> thalweg.Workload:
    """One object for all calls, so that a version that keeps traces between plans does not trace in a measured one."""
    draws = torch.Generator().manual_seed(0)
    x, y = torch.rand(SAMPLES, 784, generator=draws), torch.randint(0, 10, (SAMPLES,), generator=draws)
    return thalweg.Workload(
        name="noise", model=partial(Counting, counts), train=(x, y), validation=(x[:32], y[:32]), steps=steps
    )


def train(optimizer: str, runs: int, counts: bool) -> float:
    """Seconds a run and step of so many rates, whatever the records count as a run's: planning is not in them."""
    few, many = (_seconds(noise(counts, steps), optimizer, runs) for steps in (FEW, MANY))
    return (many - few) / (runs * (MANY - FEW))


def _seconds(workload: thalweg.Workload, optimizer: str, runs: int) -> float:
    """Of a whole comparison."""
    rates = [1e-4 * 1.1**i for i in range(runs)]
    with uncollected():
        began = time.perf_counter()
        thalweg.compare(workload, [optimizer], learning_rates=rates, seeds=1, confirm_seeds=0, progress=False)
        return time.perf_counter() - began


def study(optimizers: list[str], epochs: int) -> float:
    """Seconds of a whole study on the digits, planning included."""
    with uncollected():
        began = time.perf_counter()
        thalweg.compare("digits", optimizers, seeds=1, confirm_seeds=1, epochs=epochs, progress=False)
        return time.perf_counter() - began


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: a whole one takes 0.3 s, and falls where it will."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


if __name__ == "__main__":
    serve(("torch",), train, study)
