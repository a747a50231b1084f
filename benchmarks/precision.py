"""What fewer bits cost: the accuracy, memory and time of each way to hold parameters and states.

    python benchmarks/precision.py [--data-dir DIR] [--optimizers Adam Lion] [--seeds 5] [--epochs 2]

The textbook's 784-300-100-10 network on Fashion-MNIST (`--data-dir`) or, without, on 10,000 of scikit-learn's digits,
enlarged; batches of 32, one loop for all. Each way trains from the same weights on the same batches as float32 does, so
that the difference is paired: the mean over the seeds, and its 95% interval by Student's t. In bfloat16 the network
computes in bfloat16 too. "state" is bytes of optimizer state a parameter; the last column is the time of a step.
"""

import math
import statistics
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from scipy.stats import t as student
from torch import Tensor, nn

from measuring import Report, arguments
from thalweg.optim.classes import drop_ins
from thalweg.workloads.catalogue import load

WAYS: Mapping[str, tuple[torch.dtype, Mapping[str, Any]]] = {
    "float32": (torch.float32, {}),
    "float32, states bfloat16": (torch.float32, {"state_dtype": "bfloat16"}),
    "float32, states 8bit": (torch.float32, {"state_dtype": "8bit"}),
    "bfloat16 stochastic": (torch.bfloat16, {}),
    "bfloat16 compensated": (torch.bfloat16, {"rounding": "compensated"}),
    "bfloat16 stochastic, 8bit": (torch.bfloat16, {"state_dtype": "8bit"}),
    "bfloat16 nearest": (torch.bfloat16, {"rounding": "nearest"}),
    "bfloat16 as torch": (torch.bfloat16, {"rounding": "nearest", "state_dtype": "parameter"}),
}
RATES = {"Adam": 1e-3, "AdamW": 1e-3, "Lion": 1e-4, "SGD": 0.05, "RMSprop": 1e-3, "NAdam": 1e-3}
BATCH = 32

Data = tuple[Tensor, Tensor, Tensor, Tensor]


def data(folder: Path | None) -> Data:
    """Training and test images, flat, and their labels."""
    if folder is not None:
        of = load("fashion-mnist", folder)
        assert of.test is not None
        (x,), (v,) = of.train.inputs, of.test.inputs
        return x.flatten(1), of.train.targets, v.flatten(1), of.test.targets
    of = load("digits")
    x = torch.cat([of.train.inputs[0], of.validation.inputs[0]])
    y = torch.cat([of.train.targets, of.validation.targets])
    assert of.test is not None
    large = nn.Upsample(scale_factor=3.5, mode="bilinear")

    def flat(images: Tensor) -> Tensor:
        return large(images.view(-1, 1, 8, 8)).flatten(1)

    index = torch.randint(len(x), (10_000,), generator=torch.Generator().manual_seed(0))
    return flat(x[index]), y[index], flat(of.test.inputs[0]), of.test.targets


def trained(cls: Any, way: str, on: Data, seed: int, epochs: int) -> tuple[float, float, float]:
    """(test accuracy, bytes of state a parameter, milliseconds a step)."""
    dtype, options = WAYS[way]
    torch.manual_seed(seed)
    layers = [nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
    model, (x, y, x_test, y_test) = nn.Sequential(*layers).to(dtype), on
    optimizer = cls(model.parameters(), lr=RATES.get(cls.__name__, 1e-3), **options)
    order, spent, steps = torch.Generator().manual_seed(seed), 0.0, 0
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=order).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch].to(dtype)).float(), y[batch]).backward()
            began = time.perf_counter()
            optimizer.step()
            spent, steps = spent + time.perf_counter() - began, steps + 1
    with torch.no_grad():
        right = (model(x_test.to(dtype)).argmax(1) == y_test).float().mean().item()
    held = sum(value.nbytes for state in optimizer.state.values() for value in state.values())
    return right, held / sum(p.numel() for p in model.parameters()), 1e3 * spent / steps


def interval(values: list[float]) -> str:
    """Mean and half width of the 95% interval, in points of a percent."""
    half = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{100 * statistics.mean(values):+.2f} ± {100 * half:.2f}"


def table(report: Report, given: Namespace) -> None:
    report.columns(36, "optimizer, held in", "accuracy %", "to float32", "state B", "step ms")
    on = data(given.data_dir)
    for name in given.optimizers:
        baseline: list[float] = []
        for way in WAYS:
            runs = [trained(drop_ins()[name], way, on, seed, given.epochs) for seed in range(given.seeds)]
            accuracies, held, took = map(list, zip(*runs, strict=True))
            baseline = baseline or accuracies
            apart = interval([a - b for a, b in zip(accuracies, baseline, strict=True)]) if way != "float32" else None
            report.row(f"{name} {way}", 100 * statistics.mean(accuracies), apart, held[0], statistics.median(took))
    report.end(
        "Accuracy on the test split; the difference to float32, paired by seed, in points with its 95% interval."
    )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data-dir", type=Path, help="of Fashion-MNIST")
    parser.add_argument("--optimizers", nargs="+", choices=drop_ins(), default=["Adam"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    report = Report("precision", given.out)
    report.machine()
    table(report, given)


if __name__ == "__main__":
    main()
