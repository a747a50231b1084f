"""Microseconds per run and step of populations of other models than an MLP, against the plain loop.

    python benchmarks/models.py [--models transformer dropout cnn] [--steps 20] [--epochs 3]

    transformer  2 layers of width 64 with 4 heads, 32 tokens of a vocabulary of 64, batch 32; 16 members
    dropout      the 784-100-100-100-10 MLP with dropout of 0.2 after each hidden layer, batch 32; 32 members
    cnn          the textbook's network for MNIST (`mnist-cnn`), batch 250; 4 members

All in float32 by Adam on noise. "As planned" is what a comparison would choose; "vectorized" is the program of all
members at once, without native code. The loop takes all threads, as a user's would.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import thalweg
from measuring import CPU, Report, arguments, interleaved, medians, seconds
from peers import loop
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.cnn import CNN
from thalweg.workloads.workload import Workload

TOKENS, WORDS, WIDTH = 32, 64, 64


class Transformer(nn.Module):
    """Words `[samples, 32]` → scores of the next ones, `[samples, 64, 32]`."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.scores = nn.Linear(WIDTH, WORDS)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(TOKENS))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layers(self.words(x) + self.places, mask=self.mask, is_causal=True)
        scores: Tensor = self.scores(hidden)
        return scores.transpose(1, 2)


def mlp() -> nn.Module:
    hidden = [m for n in (784, 100, 100) for m in (nn.Linear(n, 100), nn.ReLU(), nn.Dropout(0.2))]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(100, 10))


@dataclass(frozen=True)
class Kind:
    """A model, and a function of the number of samples that returns inputs and targets."""

    model: Callable[[], nn.Module]
    samples: Callable[[int], tuple[Tensor, Tensor]]
    batch: int
    members: int


def words(count: int) -> tuple[Tensor, Tensor]:
    x = torch.randint(0, WORDS, (count, TOKENS))
    return x, x.roll(-1, 1)


def pictures(count: int) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 28, 28), torch.randint(0, 10, (count,))


KINDS = {
    "transformer": Kind(Transformer, words, loop.BATCH, 16),
    "dropout": Kind(mlp, pictures, loop.BATCH, 32),
    "cnn": Kind(CNN, pictures, 250, 4),
}


def workload(name: str, steps: int, epochs: int) -> Workload:
    kind = KINDS[name]
    x, y = kind.samples(steps * kind.batch)
    few = x[: kind.batch], y[: kind.batch]
    return Workload(name=name, model=kind.model, train=(x, y), validation=few, batch_size=kind.batch, epochs=epochs)


def planned(of: Workload, execution: Any = "auto", *, native: bool = True) -> PlannedJob:
    return plan_job(of, 0, device=CPU, workers=torch.get_num_threads(), execution=execution, native=native)


def population(of: PlannedJob, count: int) -> float:
    adam = recipe("adam")
    members = [Member(adam, adam.resolve({"lr": 1e-3 * (1 + i / count)}), 0) for i in range(count)]
    return seconds(lambda: list(train(of, members))) / count


def vectorized(of: Workload, count: int) -> dict[str, Callable[[], float]]:
    """Empty where the model cannot be."""
    try:
        return {"vectorized": partial(population, planned(of, "population", native=False), count)}
    except thalweg.InputError:
        return {}


def one_loop(of: Workload) -> float:
    model = of.model()
    adam = loop.optimizer("adam", model.parameters(), 1e-3)
    data = of.train.inputs[0], of.train.targets
    return seconds(lambda: loop.train(model, adam, data, of.epochs, seed=0, batch=of.batch_size))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--models", nargs="+", choices=KINDS, default=[*KINDS])
    parser.add_argument("--steps", type=int, default=20, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    report = Report("models", given.out)
    report.machine()
    report.columns(
        12, "model", "members", "as planned", "µs per run and step", "vectorized", "PyTorch loop", "loop's ratio"
    )
    for name in given.models:
        of = workload(name, given.steps, given.epochs)
        count, best = KINDS[name].members, planned(of)
        contestants = {"ours": partial(population, best, count), "loop": partial(one_loop, of)}
        contestants |= vectorized(of, count)
        scale = given.steps * given.epochs / 1e6
        took = {key: value / scale for key, value in medians(interleaved(contestants, given.repeats)).items()}
        how = "loops" if best.plan.reason else best.plan.program or "vectorized"
        report.row(name, count, how, took["ours"], took.get("vectorized"), took["loop"], took["loop"] / took["ours"])
    report.end()


if __name__ == "__main__":
    main()
