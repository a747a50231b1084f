"""Microseconds per run and step of populations, against plain loops and against peers that train one run or many.

    python benchmarks/population.py [--data-dir DIR] [--members 1 8 32 128] [--steps 100] [--epochs 5] [--device cuda]

The model is the 784-100-100-100-10 MLP at batch 32 in float32, the optimizer Adam, on noise of Fashion-MNIST's shape
or on the data itself. Thalweg's figure holds everything that `train` does: also a validation (of 32 samples) after each
epoch and the accuracy on the training split at the end, which no other contestant measures. Its plan, like the peers'
compilation, is made once before.

A loop takes all threads, as a user's would; "n loops at once" are n processes of one thread. JAX's runs are compiled
whole, epoch by epoch. The products are the matrix products of forward and backward pass alone, 32 members at a time,
on every thread: no trainer of these sizes that multiplies so can be faster. On a GPU, Thalweg, the loop and the
products take part.
"""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from measuring import CPU, Child, Peers, Report, add_device, arguments, at_once, interleaved, medians, seconds
from peers import loop
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.catalogue import load
from thalweg.workloads.mlp import MLP
from thalweg.workloads.workload import Workload

BATCH = loop.BATCH
WIDTHS = (784, 100, 100, 100, 10)
TOGETHER = 32  # members of JAX's `vmap` and of the products; of Thalweg's population that all are compared with

Contestants = dict[str, Callable[[], float]]


def problem(data_dir: Path | None, steps: int, epochs: int) -> Workload:
    """Fashion-MNIST cut to `steps` batches, or noise of its shape; almost nothing to validate on."""
    samples = BATCH * steps
    if data_dir is not None:
        whole = load("fashion-mnist", data_dir)
        (x,), y = whole.train.inputs, whole.train.targets
        train_split, few = (x[:samples], y[:samples]), (x[-BATCH:], y[-BATCH:])
        return replace(whole, train=train_split, validation=few, test=None, epochs=epochs)
    x, y = torch.rand(samples, 28, 28), torch.randint(0, 10, (samples,))
    return Workload(
        name="noise", model=lambda: MLP(WIDTHS, "he-truncated-normal"), train=(x, y), validation=(x[:BATCH], y[:BATCH]),
        batch_size=BATCH, epochs=epochs,
    )  # fmt: skip


def ours(workload: Workload, counts: list[int], device: torch.device) -> Contestants:
    """Populations of so many members, each with a learning rate of its own."""
    workers = torch.get_num_threads() if device == CPU else 1
    planned_job = plan_job(
        workload.to(device), 0, device=device, workers=workers, execution="population", native=device == CPU
    )
    return {f"Thalweg, {n} members": partial(population, planned_job, n) for n in counts}


def population(planned_job: PlannedJob, count: int) -> float:
    adam = recipe("adam")
    members = [Member(adam, adam.resolve({"lr": 1e-3 * (1 + i / count)}), 0) for i in range(count)]
    return seconds(lambda: list(train(planned_job, members)), planned_job.job.device) / count


def loops(workload: Workload, processes: list[Child], device: torch.device) -> Contestants:
    there = workload.to(device)

    def one(fused: bool | None) -> float:
        model = workload.model().to(device)
        adam = loop.optimizer("adam", model.parameters(), 1e-3, fused=fused)
        return seconds(lambda: loop.train(model, adam, data(there), workload.epochs, seed=0), device)

    def several() -> float:
        return at_once(processes, "adam_loop", widths=WIDTHS, epochs=workload.epochs) / len(processes)

    found = {"PyTorch loop": lambda: one(None), "PyTorch loop, fused Adam": lambda: one(True)}
    return found | ({f"{len(processes)} PyTorch loops at once": several} if processes else {})


def others(peers: Peers, file: str, epochs: int) -> Contestants:
    """Keras and JAX, whose environment may be missing."""
    found: Contestants = {}
    for backend in ("jax", "torch"):
        for child in peers.start("peers.keras_fit", KERAS_BACKEND=backend):
            child.ask("load", path=file, widths=WIDTHS)
            found[f"Keras fit on {backend}"] = partial(child.ask, "fit", epochs=epochs)
    for child in peers.start("peers.jax_scan"):
        child.ask("load", path=file, widths=WIDTHS, members=TOGETHER)
        found["JAX jit(scan), 1 run"] = partial(child.ask, "run", which="one", epochs=epochs)
        found[f"JAX vmap(scan), {TOGETHER} runs"] = partial(child.ask, "run", which="many", epochs=epochs)
    return found


def data(workload: Workload) -> loop.Data:
    return workload.train.inputs[0], workload.train.targets


def products(steps: int, device: torch.device) -> float:
    """Seconds per run of so many steps' matrix products, every thread with members of its own."""
    threads = torch.get_num_threads()
    workers = threads if device == CPU else 1
    work = [steps_of_products(device) for _ in range(workers)]

    def multiply(step: Callable[[], None]) -> None:
        torch.set_num_threads(1)  # counts for the calling thread
        for _ in range(steps):
            step()

    with ThreadPoolExecutor(workers) as pool:
        took = seconds(lambda: list(pool.map(multiply, work)), device)
    torch.set_num_threads(threads)
    return took / (workers * TOGETHER)


def steps_of_products(device: torch.device) -> Callable[[], None]:
    """A step's products of TOGETHER members: outputs, weights' gradients, inputs' gradients but the data's."""
    calls: list[tuple[Tensor, Tensor, Tensor]] = []
    for layer, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        x, w, g = (
            torch.rand(TOGETHER, *s, device=device) for s in ((BATCH, inputs), (inputs, outputs), (BATCH, outputs))
        )
        if layer == 0:
            x = x[:1].expand(TOGETHER, -1, -1)  # all members see one batch
        calls += [(x, w, torch.empty_like(g)), (x.mT, g, torch.empty_like(w))]
        if layer:
            calls.append((g, w.mT, torch.empty(TOGETHER, BATCH, inputs, device=device)))

    def step() -> None:
        for a, b, out in calls:
            torch.bmm(a, b, out=out)

    return step


def main() -> None:
    parser = arguments(__doc__)
    add_device(parser)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--steps", type=int, default=100, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    workload = problem(given.data_dir, given.steps, given.epochs)
    steps = given.steps * given.epochs
    report = Report("population", given.out)
    with tempfile.TemporaryDirectory() as folder, Peers(given.peers) as peers:
        file = f"{folder}/data.npz"
        x, y = data(workload)
        np.savez(file, x=x.numpy(), y=y.numpy())
        processes = peers.start("peers.loop", torch.get_num_threads() * (given.device == CPU), own=False)
        for child in processes:
            child.ask("load", path=file, threads=1)
        contestants = ours(workload, given.members, given.device) | loops(workload, processes, given.device)
        contestants |= others(peers, file, given.epochs) if given.device == CPU else {}
        contestants |= {"the matrix products alone": lambda: products(steps, given.device)}
        report.machine(peers, given.device)
        report.line(f"{workload.name}, {given.epochs} epochs of {given.steps} steps, {given.repeats} rounds")
        found = interleaved(contestants, given.repeats)
    show(report, {name: [value / steps * 1e6 for value in values] for name, values in found.items()}, given.members)


def show(report: Report, times: dict[str, list[float]], counts: list[int]) -> None:
    """Medians, and ratios to the population that the peers' numbers of members match best."""
    took = medians(times)
    base = f"Thalweg, {TOGETHER if TOGETHER in counts else counts[-1]} members"
    report.line()
    report.columns(30, "", "µs per run and step", "ratio", "least", "most")
    for name, values in times.items():
        report.row(name, took[name], took[name] / took[base], min(values), max(values))
    notes = [f"Ratios are to {base}."]
    if 1 in counts:
        alone = took["Thalweg, 1 members"] / took["PyTorch loop"]
        notes.append(f"A population of one takes {alone:.2f} of the plain loop's time.")
    report.end(*notes)


if __name__ == "__main__":
    main()
