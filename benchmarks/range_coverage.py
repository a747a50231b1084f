"""From measured tasks to a calibration, and its coverage over held-out tasks with intervals."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.analysis.conformal import share_interval
from thalweg.analysis.range_calibration import CLOSE, RangeCalibration, RangeTask, calibrate
from thalweg.analysis.range_curve import RangeCurve, features, swept_rates

RESAMPLES, RECALIBRATIONS = 2000, 100
FEWEST = 10  # pairs that are resampled


@dataclass(frozen=True)
class Outcome:
    """A held-out task: whether its interval holds a good rate, and the interval's width in decades."""

    task: RangeTask
    holds: bool
    width: float


def tasks_in(file: Path) -> tuple[dict[str, list[RangeTask]], dict[str, int]]:
    """Part → its tasks, and part → how many were left out, as no rate finished or the sweep's loss did not fall."""
    found: dict[str, list[RangeTask]] = {}
    without: dict[str, int] = {}
    for line in file.read_text().splitlines():
        measured = json.loads(line)
        part = measured["pair"]["part"]
        for optimizer, values in measured["tasks"].items():
            task = task_of(measured, optimizer, values)
            if task is None:
                without[part] = without.get(part, 0) + 1
            else:
                found.setdefault(part, []).append(task)
    return found, without


def task_of(measured: Mapping[str, Any], optimizer: str, values: Mapping[str, Any]) -> RangeTask | None:
    finals, losses = _array(values["finals"]).mean(axis=1), _array(values["losses"])
    read = features(RangeCurve(swept_rates(*values["swept"], losses.shape[1]), losses))
    if read is None or not np.isfinite(finals).any():
        return None
    best = np.nanmin(finals)
    with np.errstate(invalid="ignore"):
        good = np.array(values["rates"])[finals <= best + CLOSE * abs(best)]
    pair = measured["pair"]
    return RangeTask(pair["model"], pair["data"], optimizer, read, tuple(good.tolist()))


def _array(rows: Sequence[Sequence[float | None]]) -> np.ndarray:
    return np.array([[math.nan if x is None else x for x in row] for row in rows], np.float64)


def calibrated(
    tasks: Mapping[str, Sequence[RangeTask]], coverage: float, source: Mapping[str, Any]
) -> RangeCalibration:
    return calibrate(pairs_of(tasks), coverage, source)


def outcomes_of(calibration: RangeCalibration, tasks: Sequence[RangeTask], *, known: bool = True) -> list[Outcome]:
    """known: whether optimizers are told by name; otherwise each is taken as one that calibration never saw."""
    found = []
    for task in tasks:
        name = task.optimizer if known else "unknown"
        of = calibration.interval(task.features, name)
        holds = any(of.low <= rate <= of.high for rate in task.good)
        found.append(Outcome(task, holds, math.log10(of.high / of.low)))
    return found


def summary(outcomes: Sequence[Outcome], of: str, widths: tuple[float, float] | None = None) -> list[str]:
    """Coverage and median width, each with a 95% interval. widths: that of the latter."""
    hits, count = sum(o.holds for o in outcomes), len(outcomes)
    low, high = share_interval(hits, count)
    by_pair = resampled(outcomes, lambda some: sum(o.holds for o in some) / len(some))
    pairs = len({(o.task.model, o.task.data) for o in outcomes})
    ends = f", 95% interval {widths[0]:.2f} to {widths[1]:.2f} (calibrations on resampled pairs)" if widths else ""
    return [
        f"{of}: {count} tasks of {pairs} pairs of model and data",
        f"  coverage      {hits / count:6.1%}   95% interval {low:.1%} to {high:.1%} (binomial), {by_pair[0]:.1%} to"
        f" {by_pair[1]:.1%} (bootstrap over pairs)",
        f"  median width  {np.median([o.width for o in outcomes]):6.2f}   decades{ends}",
    ]


def width_interval(tasks: Mapping[str, Sequence[RangeTask]], coverage: float) -> tuple[float, float] | None:
    """The 95% percentile interval of the median width over held-out tasks, by calibrations on resampled pairs; `None`
    of a few pairs."""
    each, rng, widths = pairs_of(tasks), np.random.default_rng(0), []
    if len(each) < FEWEST:
        return None
    for _ in range(RECALIBRATIONS):
        again = calibrate([each[i] for i in rng.integers(len(each), size=len(each))], coverage, unknown=False)
        widths.append(float(np.median([2 * again.reaches[t.optimizer] for t in tasks["held out"]])))
    low, high = np.quantile(widths, [0.025, 0.975])
    return float(low), float(high)


def pairs_of(tasks: Mapping[str, Sequence[RangeTask]]) -> list[list[RangeTask]]:
    """The tasks that calibrate, by pairs of model and data."""
    groups: dict[tuple[str, str], list[RangeTask]] = {}
    for t in (*tasks["first"], *tasks["second"]):
        groups.setdefault((t.model, t.data), []).append(t)
    return [*groups.values()]


def resampled(outcomes: Sequence[Outcome], statistic: Callable[[Sequence[Outcome]], float]) -> tuple[float, float]:
    """The 95% percentile interval over resampled pairs, since optimizers on one pair are alike."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for o in outcomes:
        groups.setdefault((o.task.model, o.task.data), []).append(o)
    each, rng = [*groups.values()], np.random.default_rng(0)
    values = [
        statistic([o for i in rng.integers(len(each), size=len(each)) for o in each[i]]) for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def by_optimizer(outcomes: Sequence[Outcome]) -> list[str]:
    names = dict.fromkeys(o.task.optimizer for o in outcomes)
    each = {name: [o for o in outcomes if o.task.optimizer == name] for name in names}
    return [
        f"  {name:<10} holds in {sum(o.holds for o in own):>3} of {len(own):>3}, width {own[0].width:.2f}"
        for name, own in each.items()
    ]
