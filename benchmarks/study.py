"""Seconds until the same leaderboard: eleven optimizers, nine learning rates each, three seeds, on handwritten digits.

    python benchmarks/study.py [--epochs 20] [--sample 11]

297 runs of the workload `digits`, every one validated after each epoch. Thalweg trains them all, its plan (tracing and
the check against the loop) and the accuracies on the training split counted. The others train a sample, optimizer by
optimizer at rates and seeds drawn once, Optuna what its sampler draws; their seconds are scaled to 297 runs. That
leaves out what grows with the number of trials, in Optuna's favour. Runs that diverge leave Thalweg's population; the
others carry them to their end. AdaBound, which torch and Keras do not have, is Adam there.

The loop takes all threads, as a user's would; "loops at once" and Optuna's workers have one thread each, as many as
Thalweg has. The sampled loops start from Thalweg's weights and see its batches: so their accuracies are compared too.
"""

import random
import statistics
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from measuring import Child, Peers, Report, arguments, at_once, interleaved, medians, seconds
from peers import loop
from thalweg.population.engine.task import MembersFinished
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member
from thalweg.studies.contenders import Contender
from thalweg.studies.protocol import TEXTBOOK
from thalweg.workloads.digits import digits
from thalweg.workloads.split import Split
from thalweg.workloads.workload import Workload

WIDTHS = (64, 100, 100, 100, 10)
SEEDS = (0, 1, 2)
Run = tuple[str, float, int]  # optimizer, learning rate, seed


@dataclass
class Problem:
    """The runs to train, and the accuracy at the end of those that were."""

    workload: Workload
    rates: Mapping[str, tuple[float, ...]]
    runs: list[Run]
    sample: list[Run]
    ours: dict[Run, float]
    theirs: dict[Run, float]


def problem(epochs: int | None, sample: int) -> Problem:
    workload = replace(digits(), epochs=epochs or digits().epochs)
    rates = {name: Contender(name).rates(None) for name in TEXTBOOK}
    draw = random.Random(0)
    drawn = [(name, draw.choice(rates[name]), draw.choice(SEEDS)) for name in TEXTBOOK * -(-sample // len(TEXTBOOK))]
    runs = [(name, lr, seed) for name, of in rates.items() for lr, seed in product(of, SEEDS)]
    return Problem(workload, rates, runs, drawn[:sample], {}, {})


def population(of: Problem) -> float:
    """Seconds for all runs, planning included."""
    return seconds(partial(_population, of))


def _population(of: Problem) -> None:
    contenders = {name: Contender(name).recipe for name in of.rates}
    members = [Member(contenders[name], contenders[name].resolve({"lr": lr}), seed) for name, lr, seed in of.runs]
    planned_job = plan_job(of.workload, 0, device=torch.device("cpu"), workers=torch.get_num_threads(), native=True)
    for event in train(planned_job, members):
        for i, trained in event.outcomes.items() if isinstance(event, MembersFinished) else ():
            last = trained.curve[-1].validation_metric if trained.curve else None
            of.ours[of.runs[i]] = 0.0 if trained.diverged_at or last is None else last


def one_loop(of: Problem) -> float:
    """Seconds for all runs, as the sample's tell."""
    return seconds(partial(_one_loop, of)) * len(of.runs) / len(of.sample)


def _one_loop(of: Problem) -> None:
    for run in of.sample:
        name, lr, seed = run
        torch.manual_seed(seed)
        model = of.workload.model()
        updates = loop.optimizer(name, model.parameters(), lr)
        data, valid = pair(of.workload.train), pair(of.workload.validation)
        of.theirs[run] = loop.train(model, updates, data, of.workload.epochs, seed, valid)[-1]


def several_loops(of: Problem, processes: list[Child]) -> float:
    """The sample shared out among processes of one thread, and scaled."""
    job = {"widths": WIDTHS, "epochs": of.workload.epochs}

    def run() -> None:
        for i, child in enumerate(processes):
            child.send("runs", chosen=of.sample[i :: len(processes)], **job)
        for child in processes:
            child.receive()

    return seconds(run) * len(of.runs) / len(of.sample)


def optuna(of: Problem, workers: list[Child]) -> float:
    """As many trials as the sample has runs, or a few more so that all workers have the same; and scaled."""
    each = trials(of, len(workers))
    job: dict[str, Any] = {"widths": WIDTHS, "rates": of.rates, "seeds": SEEDS, "epochs": of.workload.epochs}
    with tempfile.TemporaryDirectory() as folder:
        took = at_once(workers, "optimize", journal=f"{folder}/journal", trials=each, **job)
    return took * len(of.runs) / (each * len(workers))


def trials(of: Problem, workers: int) -> int:
    """Of each worker."""
    return -(-len(of.sample) // workers)


def keras(of: Problem, child: Child) -> float:
    took: float = child.ask("runs", widths=WIDTHS, chosen=of.sample, epochs=of.workload.epochs)
    return took * len(of.runs) / len(of.sample)


def pair(split: Split) -> loop.Data:
    return split.inputs[0], split.targets


def contestants(of: Problem, peers: Peers, file: str) -> dict[str, Callable[[], float]]:
    workers = torch.get_num_threads()
    loops = peers.start("peers.loop", workers, own=False)
    optunas = peers.start("peers.optuna_grid", workers)
    for child in (*loops, *optunas):
        child.ask("load", path=file, threads=1)
    found = {"Thalweg": partial(population, of), "PyTorch loop": partial(one_loop, of)}
    found[f"{workers} PyTorch loops at once"] = partial(several_loops, of, loops)
    if optunas:
        found[f"Optuna, {workers} workers"] = partial(optuna, of, optunas)
    for child in peers.start("peers.keras_fit", KERAS_BACKEND="torch"):
        child.ask("load", path=file, widths=WIDTHS)
        found["Keras fit on torch"] = partial(keras, of, child)
    return found


def save(workload: Workload, file: str) -> None:
    """The data, for children."""
    (x, y), (x_valid, y_valid) = pair(workload.train), pair(workload.validation)
    np.savez(file, x=x.numpy(), y=y.numpy(), x_valid=x_valid.numpy(), y_valid=y_valid.numpy())


def agreement(of: Problem) -> str:
    """Whether sampled loops end where Thalweg's runs do."""
    compared = [run for run in of.sample if run[0] != "adabound" and of.ours[run]]
    apart = [abs(of.ours[run] - of.theirs[run]) for run in compared]
    alike = sum(difference < 0.5 / len(of.workload.validation) for difference in apart)
    text = f"{alike} of {len(apart)} sampled loops that do not diverge end with the same validation accuracy"
    return f"{text} in Thalweg's population; the largest difference is {max(apart):.4f}."


def best_rates(of: Problem) -> list[str]:
    """Thalweg's leaderboard in short: the best rate of each optimizer, and its mean accuracy at the end."""
    means = {
        (name, lr): statistics.mean(of.ours[name, lr, seed] for seed in SEEDS)
        for name, rates in of.rates.items()
        for lr in rates
    }
    best = [max((means[name, lr], name, lr) for lr in rates) for name, rates in of.rates.items()]
    rows = sorted(best, reverse=True)
    return ["Thalweg's leaderboard: " + ", ".join(f"{name} at {lr:g} {mean:.4f}" for mean, name, lr in rows) + "."]


def trained(of: Problem, contestant: str) -> int:
    """How many runs a contestant's seconds are scaled from."""
    if contestant.startswith("Optuna"):
        return trials(of, torch.get_num_threads()) * torch.get_num_threads()
    return len(of.runs if contestant == "Thalweg" else of.sample)


def show(report: Report, of: Problem, found: Mapping[str, list[float]]) -> None:
    took = medians(found)
    report.line()
    report.columns(28, "", "seconds", "ratio", "least", "most", "trained")
    for name, values in found.items():
        report.row(name, took[name], took[name] / took["Thalweg"], min(values), max(values), trained(of, name))
    scaled = f"Seconds are for {len(of.runs)} runs, scaled from those trained."
    report.end(scaled, agreement(of), *best_rates(of))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--epochs", type=int, help="in place of the workload's own")
    parser.add_argument("--sample", type=int, default=len(TEXTBOOK), help="runs that the others train")
    given: Namespace = parser.parse_args()
    of = problem(given.epochs, given.sample)
    report = Report("study", given.out)
    with tempfile.TemporaryDirectory() as folder, Peers(given.peers) as peers:
        file = str(Path(folder) / "data.npz")
        save(of.workload, file)
        turns = contestants(of, peers, file)
        report.machine(peers)
        report.line(f"digits, {of.workload.epochs} epochs, {len(of.runs)} runs, {given.repeats} rounds")
        found = interleaved(turns, given.repeats)
    show(report, of, found)


if __name__ == "__main__":
    main()
