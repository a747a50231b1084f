"""Calibration of the range test, and how often its intervals hold over tasks that calibration never saw.

    python benchmarks/range_test.py [--data-dir DIR] [--quick] [--write]

Each task is an optimizer on a model and data (`range_tasks.py`), of which two things are measured: a sweep, as
`find-lr` makes it, and the validation loss at full length on a dense grid of learning rates.
"""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import thalweg
from measuring import CPU, Report, arguments
from range_coverage import by_optimizer, calibrated, outcomes_of, summary, tasks_in, width_interval
from range_tasks import DATA, Pair, pairs
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member
from thalweg.studies.contenders import contenders
from thalweg.studies.protocol import TEXTBOOK
from thalweg.studies.range_sweep import BEYOND, outcomes, sweep
from thalweg.studies.shipped_calibration import FILE, ship

SEEDS = (0, 1, 2)
PER_DECADE = 5
COVERAGE = 0.9
FEW = 0.5  # the coverage that a few pairs can promise


def measured(pair: Pair, data_dir: Path | None, per_decade: int, seeds: tuple[int, ...]) -> dict[str, object]:
    """The sweeps and the dense grids of the textbooks' optimizers on a pair, as plain data."""
    began, compared = time.perf_counter(), contenders(TEXTBOOK)
    planned = plan_job(pair.workload(data_dir), 0, device=CPU, workers=torch.get_num_threads(), native=True)
    curves = sweep(planned, compared, seeds)
    rates = {c.label: dense(*c.recipe.rates, per_decade) for c in compared}
    members = [
        Member(c.recipe, c.recipe.resolve({c.recipe.rate: rate}), seed)
        for c in compared for rate in rates[c.label] for seed in seeds
    ]  # fmt: skip
    runs = iter(outcomes(planned, members))
    grids = {name: [[final(next(runs)) for _ in seeds] for _ in of] for name, of in rates.items()}
    return {
        "pair": vars(pair),
        "seconds": round(time.perf_counter() - began, 1),
        "tasks": {
            name: {"rates": rates[name], "finals": grids[name], "swept": [curve.rates[0], curve.rates[-1]],
                   "losses": [[round_(x) for x in run] for run in curve.losses.tolist()]}
            for name, curve in curves.items()
        },
    }  # fmt: skip


def dense(low: float, high: float, per_decade: int) -> list[float]:
    low, high = low / BEYOND, high * BEYOND
    return np.logspace(math.log10(low), math.log10(high), round(per_decade * math.log10(high / low)) + 1).tolist()


def final(run: object) -> float | None:
    """The validation loss at the end; `None` of a run that diverged."""
    ended = run.curve and run.diverged_at is None  # type: ignore[attr-defined]
    return run.curve[-1].validation_loss if ended else None  # type: ignore[attr-defined]


def round_(x: float) -> float | None:
    return float(f"{x:.6g}") if math.isfinite(x) else None


def collect(file: Path, wanted: list[Pair], data_dir: Path | None, per_decade: int, seeds: tuple[int, ...]) -> None:
    """Measures the pairs that the file does not hold yet, each kept as a line as soon as it is done."""
    file.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line)["pair"] for line in file.read_text().splitlines()] if file.exists() else []
    for pair in wanted:
        if vars(pair) not in known:
            found = measured(pair, data_dir, per_decade, seeds)
            with file.open("a") as out:
                out.write(json.dumps(found) + "\n")
            print(f"{found['seconds']:>6} s  {pair.part}: {pair.name}", flush=True)


def lengths(file: Path) -> list[int]:
    """The least and the most steps of a run among the tasks."""
    steps = [json.loads(line)["pair"]["steps"] for line in file.read_text().splitlines()]
    return [min(steps), max(steps)]


def report(file: Path, out: Path, coverage: float, source: dict[str, object], *, write: bool) -> None:
    """Calibrates on the tasks of a file and measures the coverage over those held out. write: into the package."""
    tasks, without = tasks_in(file)
    calibration = calibrated(
        tasks, coverage, {**source, "tasks": {part: len(of) for part, of in tasks.items()}, "steps": lengths(file)}
    )
    held = outcomes_of(calibration, tasks["held out"])
    blind = outcomes_of(calibration, tasks["held out"], known=False)
    told = ", ".join(f"{count} {part}" for part, count in without.items()) or "none"
    table = Report(file.stem, out)
    table.machine()
    for line in (
        f"Calibrated on {len(tasks['first']) + len(tasks['second'])} tasks to cover {coverage:.0%}.",
        f"Left out, as no loss fell in the sweep: {told}.",
        "",
        *summary(held, "Held out", width_interval(tasks, coverage)),
        *by_optimizer(held),
        "",
        *summary(blind, "Held out, each optimizer taken as one that calibration never saw"),
    ):
        table.line(line)
    if write:
        measured = {"tasks": len(held), "coverage": round(sum(o.holds for o in held) / len(held), 4)}
        ship(replace(calibration, source={**calibration.source, "held out": measured}))
        table.line(f"Written to {FILE}")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data-dir", type=Path, help="directory of mnist/ and fashion-mnist/, which add tasks")
    parser.add_argument("--quick", action="store_true", help="two pairs of each part on a coarse grid: a smoke test")
    parser.add_argument("--write", action="store_true", help="write the calibration into the package")
    given = parser.parse_args()
    if given.quick and given.write:
        parser.error("--quick measures too little to write a calibration: leave out one of the two")
    file = given.out / ("range_test_quick.jsonl" if given.quick else "range_test.jsonl")
    each = {part: pairs(part, given.data_dir) for part in DATA}
    most = 2 if given.quick else max(map(len, each.values()))
    wanted = [of[i] for i in range(most) for of in each.values() if i < len(of)]
    collect(file, wanted, given.data_dir, 2 if given.quick else PER_DECADE, SEEDS[:1] if given.quick else SEEDS)
    command = f"benchmarks/range_test.py{' --data-dir DIR' * (given.data_dir is not None)}{' --quick' * given.quick}"
    report(
        file,
        given.out,
        FEW if given.quick else COVERAGE,
        {"command": command, "version": thalweg.__version__},
        write=given.write,
    )


if __name__ == "__main__":
    main()
