"""What a scheduled learning rate costs beside a constant one: a drop-in's step, and a population's run and step.

    python benchmarks/schedules.py [--repeats 15] [--steps 100] [--members 32]

The drop-in is `thalweg.optim.Adam` on a parameter of a million elements, and on the four layers of the
784-100-100-100-10 MLP, whose steps are mostly overhead. The population is that of `population.py` on noise, each member
with a rate of its own, constant or under a cosine with warm-up. All take turns; a ratio is of two neighbours in one
round, and its interval is the bootstrap's over rounds.
"""

import statistics
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from measuring import Report, arguments, interleaved, seconds
from population import problem
from thalweg import optim
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.schedules import cosine
from thalweg.workloads.mlp import MLP

CALLS = 400  # steps of a drop-in in each round
RESAMPLES = 10_000
WIDTHS = (784, 100, 100, 100, 10)
MILLION = 1_000_000


def drop_in(parameters: Sequence[nn.Parameter], scheduled: bool) -> float:
    """Seconds of a step."""
    lr = cosine(1e-3, steps=100_000, warmup=100) if scheduled else 1e-3
    adam = optim.Adam(parameters, lr=lr)
    for p in parameters:
        p.grad = torch.full_like(p, 1e-3)
    adam.step()

    def steps() -> None:
        for _ in range(CALLS):
            adam.step()

    return seconds(steps) / CALLS


def population(planned_job: PlannedJob, members: int, scheduled: bool) -> float:
    """Seconds per run and step."""
    adam, total = recipe("adam"), planned_job.job.workload.total_steps

    def values(i: int) -> dict[str, object]:
        rate = 1e-3 * (1 + i / members)
        own = adam.resolve({"lr": rate})
        return {**own, "lr": cosine(rate, steps=total, warmup=total // 20)} if scheduled else own

    chosen = [Member(adam, values(i), 0) for i in range(members)]
    return seconds(lambda: list(train(planned_job, chosen))) / members / total


def contestants(options: Namespace) -> dict[str, dict[bool, Callable[[], float]]]:
    """What is measured → with a schedule or not → a measurement."""
    planned = plan_job(
        problem(None, options.steps, 5), 0, device=torch.device("cpu"), workers=torch.get_num_threads(),
        execution="population", native=True,
    )  # fmt: skip
    one = [nn.Parameter(torch.zeros(MILLION))]
    layers = [*MLP(WIDTHS, "he-truncated-normal").parameters()]
    return {
        "a step of Adam, 1 million elements": {s: partial(drop_in, one, s) for s in (False, True)},
        "a step of Adam, an MLP of 8 tensors": {s: partial(drop_in, layers, s) for s in (False, True)},
        f"a population of {options.members}, per run and step": {
            s: partial(population, planned, options.members, s) for s in (False, True)
        },
    }


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """The median ratio, and the bootstrap's 95% interval."""
    drawn = np.random.default_rng(0).choice(np.array(ratios), (RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return statistics.median(ratios), float(low), float(high)


def main() -> None:
    parser = arguments(__doc__)
    parser.set_defaults(repeats=15)
    parser.add_argument("--steps", type=int, default=100, help="steps of an epoch of the population, of 5")
    parser.add_argument("--members", type=int, default=32)
    options = parser.parse_args()
    each = contestants(options)
    flat = {f"{name}{', scheduled' * s}": f for name, of in each.items() for s, f in of.items()}
    found = interleaved(flat, options.repeats)
    report = Report("schedules", options.out)
    report.machine()
    report.columns(52, "", "constant, µs", "cosine, µs", "ratio", "least", "most")
    for name in each:
        constant, scheduled = found[name], found[f"{name}, scheduled"]
        ratios = interval([b / a for a, b in zip(constant, scheduled, strict=True)])
        report.row(name, statistics.median(constant) * 1e6, statistics.median(scheduled) * 1e6, *ratios)
    report.end("Least and most are the ends of the ratio's 95% interval.")


if __name__ == "__main__":
    main()
