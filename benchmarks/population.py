"""Microseconds per run and step of a population against plain PyTorch loops, in one process.

    python benchmarks/population.py [--data-dir DIR] [--members 64] [--steps 100] [--repeats 5]

The model is the 784-100-100-100-10 MLP at batch 32, the optimizer Adam. Loops use all threads, as a user's would.
Measurements alternate; the table gives medians, and ratios to the population within this run.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from thalweg.population.members import Member
from thalweg.population.plan import Plan, make_plan
from thalweg.population.train import train
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.catalogue import load
from thalweg.workloads.mlp import MLP, he_truncated_normal
from thalweg.workloads.workload import Workload

BATCH = 32


def problem(data_dir: Path | None, steps: int) -> Workload:
    """Fashion-MNIST cut to `steps` batches, or noise of its shape; almost nothing to validate on."""
    samples = BATCH * steps
    if data_dir is not None:
        whole = load("fashion-mnist", data_dir)
        (x,), y = whole.train.inputs, whole.train.targets
        train_split, few = (x[:samples], y[:samples]), (x[-BATCH:], y[-BATCH:])
        return replace(whole, train=train_split, validation=few, test=None, epochs=1)
    x, y = torch.rand(samples, 28, 28), torch.randint(0, 10, (samples,))
    return Workload(
        name="noise", model=lambda: MLP((784, 100, 100, 100, 10), he_truncated_normal), train=(x, y),
        validation=(x[:BATCH], y[:BATCH]), batch_size=BATCH, epochs=1,
    )  # fmt: skip


def loop(workload: Workload, steps: int, *, fused: bool | None) -> float:
    """Seconds per step of a loop as anyone would write it."""
    model = workload.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)
    (x,), y = workload.train.inputs, workload.train.targets
    order = torch.randperm(len(y))
    began = time.perf_counter()
    for index in order.split(BATCH):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[index]), y[index]).backward()
        optimizer.step()
    return (time.perf_counter() - began) / steps


def population(plan: Plan, members: list[Member], steps: int) -> float:
    """Seconds per run and step, evaluation and everything else included."""
    began = time.perf_counter()
    for _ in train(plan, members):
        pass
    return (time.perf_counter() - began) / len(members) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    workload = problem(given.data_dir, given.steps)
    adam = recipe("adam")
    members = [Member(adam, adam.resolve({"lr": 1e-3 * (1 + i / given.members)}), 0) for i in range(given.members)]
    plan = make_plan(workload, 0, device=torch.device("cpu"), workers=torch.get_num_threads(), execution="population")
    contestants: dict[str, Callable[[], float]] = {
        f"population of {given.members}": lambda: population(plan, members, given.steps),
        "PyTorch loop": lambda: loop(workload, given.steps, fused=None),
        "PyTorch loop, fused optimizer": lambda: loop(workload, given.steps, fused=True),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(given.repeats + 1):
        for name, run in contestants.items():
            seconds = run()
            if repeat:  # the first round warms up
                times[name].append(seconds)
    show(times, workload.name)


def show(times: dict[str, list[float]], data: str) -> None:
    first = statistics.median(next(iter(times.values())))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {data}, batch {BATCH}, Adam, float32")
    print(f"{'':32}{'µs per run and step':>20}{'ratio':>8}{'min':>8}{'max':>8}")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        low, high = min(seconds) * 1e6, max(seconds) * 1e6
        print(f"{name:32}{median * 1e6:20.0f}{median / first:8.2f}{low:8.0f}{high:8.0f}")


if __name__ == "__main__":
    main()
