"""The range test where the textbooks are: Fashion-MNIST, and comparisons that begin with what it finds.

    python benchmarks/range_textbook.py --data-dir DIR [--epochs 1] [--seeds 2]

First, whether each optimizer's interval holds a rate whose accuracy after the whole run is within a point of the best
on a dense grid. Then what `compare --learning-rates found` costs against the usual grid, and whether the verdict stays.
"""

import math
import time
from pathlib import Path

import numpy as np
import torch

import thalweg
from measuring import CPU, Report, arguments
from range_test import dense
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member
from thalweg.studies.contenders import contenders
from thalweg.studies.protocol import TEXTBOOK, tuning_seeds
from thalweg.studies.range_sweep import outcomes
from thalweg.workloads.catalogue import load

PER_DECADE = 4
POINT = 0.01


def intervals(table: Report, data_dir: Path, epochs: int, seeds: int) -> None:
    began = time.perf_counter()
    found = thalweg.find_lr("fashion-mnist", epochs=epochs, data_dir=data_dir, progress=False)
    swept = time.perf_counter() - began
    began = time.perf_counter()
    accuracies = grid(data_dir, epochs, seeds)
    table.line(f"Fashion-MNIST, {found.steps:,} steps: range test {swept:.0f} s, verified; dense grid of")
    table.line(
        f"{PER_DECADE} rates a decade over six, {seeds} seeds: {time.perf_counter() - began:.0f} s. Accuracy in %."
    )
    table.line()
    table.columns(
        10, "optimizer", "suggestion", "from", "to", "best rate", "best", "best inside", "within 1", "verified"
    )
    for finding in found.findings:
        rates, means = accuracies[finding.optimizer]
        low, high = finding.interval or (math.nan, math.nan)
        inside = [mean for rate, mean in zip(rates, means, strict=True) if low <= rate <= high]
        best, most = int(np.nanargmax(means)), max(inside, default=math.nan)
        held = "yes" if most >= means[best] - POINT else "no"
        ends = [*(f"{rate:.3g}" for rate in (finding.suggestion or math.nan, low, high, rates[best])),
                100 * means[best], 100 * most]  # fmt: skip
        table.row(finding.optimizer, *ends, held, "yes" if finding.verified else "no")


def grid(data_dir: Path, epochs: int, seeds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Optimizer → rates of the dense grid, and mean validation accuracies at the end, 0 where a run diverged."""
    workload, compared = load("fashion-mnist", data_dir), contenders(TEXTBOOK)
    steps = epochs * workload.steps_per_epoch
    short = thalweg.Workload(**{**vars(workload), "steps": steps, "evaluate_every": steps, "test": None})
    planned = plan_job(short, 0, device=CPU, workers=torch.get_num_threads(), native=True)
    rates = {c.label: dense(*c.recipe.rates, PER_DECADE) for c in compared}
    members = [
        Member(c.recipe, c.recipe.resolve({c.recipe.rate: rate}), seed)
        for c in compared for rate in rates[c.label] for seed in tuning_seeds(0, seeds)
    ]  # fmt: skip
    ends = [run.curve[-1].validation_metric if run.curve and run.diverged_at is None else 0.0
            for run in outcomes(planned, members)]  # fmt: skip
    means = np.array(ends, np.float64).reshape(-1, seeds).mean(axis=1)
    bounds = np.cumsum([0, *map(len, rates.values())])
    return {name: (of, means[a:b].tolist()) for (name, of), a, b in zip(rates.items(), bounds, bounds[1:])}  # noqa: B905


def verdicts(table: Report, data_dir: Path) -> None:
    """`compare` by the usual grid and by intervals found, on a few workloads."""
    table.line()
    table.columns(
        26, "workload", "runs", "runs found", "seconds", "s found", "first", "first found", "same first", "ties alike"
    )
    for name, given in (
        ("digits", {"epochs": 8}), ("digits, 2 epochs", {"epochs": 2}), ("digits, large batch", {"epochs": 20}),
        ("fashion-mnist, 300 steps", {"steps": 300}), ("mnist, 300 steps", {"steps": 300}),
    ):  # fmt: skip
        workload = load(name.split(",")[0], data_dir)
        if "batch" in name:
            workload = thalweg.Workload(**{**vars(workload), "batch_size": 256})
        usual, found = (timed(workload, learning_rates=rates, **given) for rates in (None, "found"))
        row, other = usual[0].rows[0], found[0].rows[0]
        tied, ties = ({r.contender for r in of[0].rows if r.tied or r.rank == 1} for of in (usual, found))
        alike = len(tied & ties) / len(tied | ties)
        same = "yes" if row.contender == other.contender else "tied" if other.contender in tied else "no"
        counts = [sum(r.role == "tuning" for r in of[0].runs) for of in (usual, found)]
        table.row(name, *counts, usual[1], found[1], row.contender, other.contender, same, alike)


def timed(workload: thalweg.Workload, **given: object) -> tuple[thalweg.Result, float]:
    began = time.perf_counter()
    result = thalweg.compare(workload, progress=False, **given)  # type: ignore[arg-type]
    return result, time.perf_counter() - began


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="directory of mnist/ and fashion-mnist/")
    parser.add_argument("--epochs", type=int, default=1, help="of the dense grid on Fashion-MNIST")
    parser.add_argument("--seeds", type=int, default=2, help="of that grid")
    parser.add_argument("--only", choices=("intervals", "verdicts"), help="one of the two parts")
    given = parser.parse_args()
    table = Report("range_textbook" + (f"_{given.only}" if given.only else ""), given.out)
    table.machine()
    if given.only != "verdicts":
        intervals(table, given.data_dir, given.epochs, given.seeds)
    if given.only != "intervals":
        verdicts(table, given.data_dir)
    table.end()


if __name__ == "__main__":
    main()
