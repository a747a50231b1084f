"""This checkout against another, in steps, populations, plain loops and studies: what a change costs.

    git worktree add ../before REVISION
    python benchmarks/versions.py ../before [--only steps studies]

Each version runs in a process of its own; they take turns. A cell is the mean ratio of this version's time to the
other's over the rounds, with its 95% interval: above 1, this one is slower. Studies begin in new processes five times,
and the interval is that of the processes' means: how memory happens to lie makes a process a few percent quicker or
slower for all of its life.
"""

import math
import os
import statistics
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from measuring import Child, Report, arguments

CASES = {
    "1 tensor of 32×32": {"tensors": 1, "side": 32},
    "400 tensors of 8×8": {"tensors": 400, "side": 8},
    "400 tensors of 64×64": {"tensors": 400, "side": 64},
    "1 tensor of 1 M": {"tensors": 1, "side": 1000},
    "62 tensors, 1 M in all": {"tensors": 62, "side": 127},
}
OPTIMIZERS = {"SGD": {}, "SGD, momentum": {"momentum": 0.9}, "Adam": {}, "AdamW": {}}
ROUND = 0.2  # seconds of steps
PROCESSES = 5
STUDIES = {
    "µs a run and step, population of 32": (1e6, "train", {"optimizer": "adam", "runs": 32, "counts": False}),
    "µs a run and step, plain loop, ours": (1e6, "train", {"optimizer": "adam", "runs": 2, "counts": True}),
    "µs a run and step, plain loop, torch's": (
        1e6,
        "train",
        {"optimizer": "torch.optim:Adam", "runs": 2, "counts": False},
    ),
    "s, study of the digits": (1.0, "study", {"optimizers": ["sgd", "adam", "rmsprop"], "epochs": 5}),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--only", nargs="+", choices=("steps", "studies"), default=("steps", "studies"))
    parser.set_defaults(repeats=15)
    given = parser.parse_args()
    report = Report("versions", given.out)
    report.machine()
    sources = [Path(__file__).resolve().parents[1] / "src", given.other.resolve() / "src"]
    if "steps" in given.only:
        report.columns(38, "µs a step, and ratio", "this", "other", "ratio", "from", "to")
        steps(report, sources, given.repeats)
        report.end(f"{given.repeats} rounds of {ROUND} s each.", "")
    if "studies" in given.only:
        report.columns(38, "training, and ratio", "this", "other", "ratio", "from", "to")
        studies(report, sources, given.repeats)
        report.end(f"{given.repeats} rounds in {PROCESSES} pairs of processes.")


def steps(report: Report, sources: list[Path], rounds: int) -> None:
    with started(sources[0], "peers.steps") as this, started(sources[1], "peers.steps") as other:
        for name, options in OPTIMIZERS.items():
            for size, shape in CASES.items():
                case = f"{name}, {size}"
                for child in (this, other):
                    child.ask("prepare", case=case, optimizer=name.split(",")[0], options=options, **shape)
                found = measured(this, other, rounds, "measure", case=case, seconds=ROUND)
                report.row(case, *summary(found, logarithms(found), 1e6))


def studies(report: Report, sources: list[Path], rounds: int) -> None:
    for case, (unit, call, options) in STUDIES.items():
        pairs, means = [], []
        for _ in range(min(PROCESSES, rounds)):
            with started(sources[0], "peers.studies") as this, started(sources[1], "peers.studies") as other:
                for child in (this, other):
                    child.ask(call, **options)  # compiles, and keeps timings
                found = measured(this, other, max(1, rounds // PROCESSES), call, **options)
            pairs += found
            means.append(statistics.fmean(logarithms(found)))
        report.row(case, *summary(pairs, means, unit))


def started(source: Path, module: str) -> Child:
    here = str(Path(__file__).resolve().parent)
    return Child(module, PYTHONPATH=os.pathsep.join([str(source), here]))


def measured(this: Child, other: Child, rounds: int, call: str, **options: Any) -> list[list[float]]:
    """What both measure, round by round: [this one's, the other's]."""
    pairs = [[child.ask(call, **options) for child in order] for order in turns(this, other, rounds)]
    return [pair if i % 2 == 0 else pair[::-1] for i, pair in enumerate(pairs)]


def logarithms(pairs: list[list[float]]) -> list[float]:
    return [math.log(ours / theirs) for ours, theirs in pairs]


def summary(pairs: list[list[float]], ratios: list[float], unit: float) -> tuple[float, ...]:
    """What both measure, in units, the mean ratio, and the ends of its interval. ratios: independent, logarithms."""
    mean, error = statistics.fmean(ratios), statistics.stdev(ratios) / math.sqrt(len(ratios))
    reach = float(student.ppf(0.975, len(ratios) - 1)) * error
    times = [statistics.median(pair[k] for pair in pairs) * unit for k in (0, 1)]
    return (*times, *(math.exp(x) for x in (mean, mean - reach, mean + reach)))


def turns(this: Child, other: Child, rounds: int) -> list[tuple[Child, Child]]:
    """Who goes first changes from round to round."""
    return [(this, other) if i % 2 == 0 else (other, this) for i in range(rounds)]


if __name__ == "__main__":
    main()
