"""Steps of whichever Thalweg this process imports, for `versions.py`."""

import statistics
import time

import torch

import thalweg
import thalweg.optim
from peers.serving import serve

_steps = {}


def prepare(case: str, optimizer: str, options: dict, tensors: int, side: int) -> str:
    """Makes an optimizer over so many square tensors with gradients, warm; returns where Thalweg was imported from."""
    params = [torch.nn.Parameter(torch.randn(side, side)) for _ in range(tensors)]
    for p in params:
        p.grad = torch.randn_like(p)
    made = getattr(thalweg.optim, optimizer)(params, **options)
    for _ in range(10):
        made.step()
    _steps[case] = made.step
    return thalweg.__file__


def measure(case: str, seconds: float) -> float:
    """The median seconds of a step, over steps that fill the time."""
    step, took = _steps[case], []
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        step()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


if __name__ == "__main__":
    serve(("torch",), prepare, measure)
