"""The range test of several optimizers: a sweep, intervals by calibration, and short runs that verify suggestions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from thalweg.analysis.range_calibration import RangeCalibration
from thalweg.analysis.range_curve import RangeCurve
from thalweg.analysis.range_finding import RangeFinding, RangeTrial, neighbourhood, nothing, read, verified
from thalweg.errors import listed
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.updates.members import Trained
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design
from thalweg.studies.jobs import Jobs
from thalweg.studies.protocol import tuning_seeds
from thalweg.studies.range_sweep import STEPS, outcomes, shortened, sweep
from thalweg.studies.shipped_calibration import shipped

SHORT = 0.5  # of a run: the steps of those that verify; after a quarter, rates that are too high still look better
FEWEST = 30  # steps of these, in runs of more


def findings(
    contenders: Sequence[Contender], curves: Mapping[str, RangeCurve], calibration: RangeCalibration
) -> list[RangeFinding]:
    """One finding per contender, not verified."""
    return [
        read(c.label, c.recipe.name, curves[c.label], calibration)
        if c.label in curves
        else nothing(c.label, _why_not(c))
        for c in contenders
    ]


def caveats(contenders: Sequence[Contender], steps: int, calibration: RangeCalibration) -> tuple[str, ...]:
    """Sentences on what lies outside of the tasks that calibrated. steps: of a run at full length."""
    least, most = calibration.source["steps"]
    unknown = [c.label for c in contenders if c.has_own_grid and c.recipe.name not in calibration.reaches]
    notes = []
    if not least <= steps <= most:
        notes.append(
            f"The intervals were calibrated on runs of {least:,} to {most:,} steps, and this one takes {steps:,}."
        )
    scheduled = [c.label for c in contenders if c.has_own_grid and c.schedule is not None]
    if scheduled:
        notes.append(f"The intervals of {listed(scheduled)} are of constant rates, on which they were calibrated.")
    if unknown:
        notes.append(f"Not calibrated on {listed(unknown)}: wider intervals, as for an optimizer left out.")
    return tuple(notes)


def verify(
    jobs: Jobs, contenders: Sequence[Contender], found: Sequence[RangeFinding], seeds: Sequence[int]
) -> list[RangeFinding]:
    """Trains half of a run at each suggestion and beside it, all in one population; returns what comes of it."""
    steps = verifying_steps(jobs.first.job.workload.total_steps)
    of = {f.optimizer: f for f in found}
    trials: dict[str, list[RangeTrial]] = {}
    for planned, own in jobs.parts(contenders):
        asked = [(c, s) for c in own if (s := of[c.label].suggestion) is not None]
        trials |= _tried(shortened(planned, steps), asked, seeds)
    return [verified(f, trials[f.optimizer], steps) if f.optimizer in trials else f for f in found]


def _tried(
    short: PlannedJob, asked: Sequence[tuple[Contender, float]], seeds: Sequence[int]
) -> dict[str, list[RangeTrial]]:
    """By label, what comes of runs at a suggestion and beside it."""
    members = [
        c.member({**c.fixed, str(c.recipe.rate): rate}, seed, short.job.workload)
        for c, suggestion in asked
        for rate in neighbourhood(suggestion)
        for seed in seeds
    ]
    runs = iter(outcomes(short, members))
    return {
        c.label: [RangeTrial(rate, tuple(_final(next(runs)) for _ in seeds)) for rate in neighbourhood(suggestion)]
        for c, suggestion in asked
    }


def narrowed(design: Design, jobs: Jobs) -> tuple[Design, tuple[str, ...]]:
    """The design whose grids cover intervals of a range test with its tuning seeds, and notes on it.

    A contender whose sweep finds nothing keeps its grid.
    """
    seeds, calibration = tuning_seeds(design.base_seed, design.seeds), shipped()
    without = jobs.changed(lambda planned: replace(planned, models=None))
    curves = sweep(without, design.contenders, seeds)
    found = findings(design.contenders, curves, calibration)
    intervals = tuple((f.optimizer, *f.interval) for f in found if f.interval is not None)
    share = f"{calibration.coverage * 100:.0f}%"
    notes = [
        f"The coarse grids cover intervals of a range test of {STEPS} steps, calibrated to hold a good rate in {share}"
        " of cases, and one more rate on each side."
    ]
    notes += [
        f"{f.sentence.removesuffix('.')}; its grid is the usual one."
        for f in found
        if f.interval is None and f.optimizer in curves
    ]
    total = jobs.first.job.workload.total_steps
    return replace(design, found=intervals), (*notes, *caveats(design.contenders, total, calibration))


def verifying_steps(steps: int) -> int:
    """Steps of the runs that verify, for runs of so many."""
    return min(steps, max(FEWEST, round(SHORT * steps)))


def _final(run: Trained) -> float:
    """The validation loss at the end; infinite for a run that diverged or failed."""
    loss = run.curve[-1].validation_loss if run.curve and run.diverged_at is None and not run.failure else None
    return math.inf if loss is None else loss


def _why_not(contender: Contender) -> str:
    rate = contender.recipe.rate
    if rate is None:
        return "it has no learning rate"
    if rate in contender.fixed:
        return f"its learning rate is fixed at {contender.fixed[rate]:g}"
    return "its learning rates are listed in its space"
