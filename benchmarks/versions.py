"""Steps of this checkout against those of another: what a change costs.

    git worktree add ../before REVISION
    python benchmarks/versions.py ../before

Each version steps in a process of its own; they take turns. A cell is the mean ratio of this version's time to the
other's over the rounds, with its 95% interval: above 1, this one is slower.
"""

import math
import os
import statistics
from pathlib import Path

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


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.set_defaults(repeats=15)
    given = parser.parse_args()
    report = Report("versions", given.out)
    report.machine()
    sources = {"this": Path(__file__).resolve().parents[1] / "src", "other": given.other.resolve() / "src"}
    with started(sources["this"]) as this, started(sources["other"]) as other:
        report.columns(38, "µs a step, and ratio", "this", "other", "ratio", "from", "to")
        for name, options in OPTIMIZERS.items():
            for size, shape in CASES.items():
                found = compared(this, other, f"{name}, {size}", name.split(",")[0], options, shape, given.repeats)
                report.row(f"{name}, {size}", *found)
        report.end(f"{given.repeats} rounds of {ROUND} s each.")


def started(source: Path) -> Child:
    here = str(Path(__file__).resolve().parent)
    return Child("peers.steps", PYTHONPATH=os.pathsep.join([str(source), here]))


def compared(
    this: Child, other: Child, case: str, optimizer: str, options: dict, shape: dict, rounds: int
) -> tuple[float, ...]:
    """Microseconds of both, the mean ratio, and the ends of its interval."""
    for child in (this, other):
        child.ask("prepare", case=case, optimizer=optimizer, options=options, **shape)
    pairs = [
        [child.ask("measure", case=case, seconds=ROUND) for child in order] for order in turns(this, other, rounds)
    ]
    pairs = [pair if i % 2 == 0 else pair[::-1] for i, pair in enumerate(pairs)]
    ratios = [math.log(ours / theirs) for ours, theirs in pairs]
    mean, error = statistics.fmean(ratios), statistics.stdev(ratios) / math.sqrt(len(ratios))
    reach = float(student.ppf(0.975, len(ratios) - 1)) * error
    times = [statistics.median(pair[k] for pair in pairs) * 1e6 for k in (0, 1)]
    return (*times, *(math.exp(x) for x in (mean, mean - reach, mean + reach)))


def turns(this: Child, other: Child, rounds: int) -> list[tuple[Child, Child]]:
    """Who goes first changes from round to round."""
    return [(this, other) if i % 2 == 0 else (other, this) for i in range(rounds)]


if __name__ == "__main__":
    main()
