"""What the short runs of a range test are worth: held-out tasks of `range_test.py`, whose good rates are known.

    python benchmarks/range_verification.py [--data-dir DIR]

Of suggestions that short runs leave, and of those that they move, how far lies the nearest good rate, before and after?
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from measuring import CPU, Report, arguments
from range_coverage import task_of
from range_tasks import Pair
from thalweg.analysis.range_calibration import distance
from thalweg.analysis.range_finding import RangeFinding
from thalweg.population.planning.planned_job import plan_job
from thalweg.studies.contenders import contenders
from thalweg.studies.range_test import verify
from thalweg.studies.shipped_calibration import shipped

SEEDS = (0, 1, 2)


def distances(line: str, data_dir: Path | None) -> list[tuple[bool, float, float, bool, bool]]:
    """Of each task of a pair: moved; decades to the nearest good rate before and after; whether intervals held one."""
    measured, calibration = json.loads(line), shipped()
    tasks = {name: task_of(measured, name, values) for name, values in measured["tasks"].items()}
    known = {name: task for name, task in tasks.items() if task is not None}
    compared, found = contenders([*known]), []
    for name, task in known.items():
        of = calibration.interval(task.features, name)
        found.append(RangeFinding(name, (of.low, of.high), float(f"{of.suggestion:.3g}")))
    workload = Pair(**measured["pair"]).workload(data_dir)
    planned = plan_job(workload, 0, device=CPU, workers=torch.get_num_threads(), native=True)
    after = verify(planned, compared, found, SEEDS)
    return [
        (not b.verified, away(a, known), away(b, known), holds(a, known), holds(b, known))
        for a, b in zip(found, after, strict=True)
    ]


def away(finding: RangeFinding, tasks: dict) -> float:
    return distance(math.log10(finding.suggestion or math.nan), tasks[finding.optimizer].good)


def holds(finding: RangeFinding, tasks: dict) -> bool:
    low, high = finding.interval or (math.nan, math.nan)
    return any(low <= rate <= high for rate in tasks[finding.optimizer].good)


def row(table: Report, name: str, of: Sequence[tuple[bool, float, float, bool, bool]]) -> None:
    if of:
        _, before, after, held, holding = (np.array(x) for x in zip(*of, strict=True))
        nearer = np.mean(after < before - 1e-9)
        table.row(name, len(of), before.mean(), after.mean(), nearer, held.mean(), holding.mean())


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data-dir", type=Path, help="directory of fashion-mnist/, if range_test.py had one")
    given = parser.parse_args()
    lines = (given.out / "range_test.jsonl").read_text().splitlines()
    found = []
    for line in lines:
        if json.loads(line)["pair"]["part"] == "held out":
            found += distances(line, given.data_dir)
    table = Report("range_verification", given.out)
    table.machine()
    table.columns(22, "suggestions", "tasks", "decades before", "after", "nearer", "interval holds", "after")
    row(table, "all", found)
    row(table, "left by short runs", [o for o in found if not o[0]])
    row(table, "moved by short runs", [o for o in found if o[0]])
    table.end()


if __name__ == "__main__":
    main()
