"""Fits a study to a budget of wall-clock time: measures the pace, cuts the design, and checks the time left."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from thalweg.errors import InputError, counted
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.planning.trial import rehearsal
from thalweg.population.updates.members import Member
from thalweg.studies.design import Design
from thalweg.studies.jobs import Jobs
from thalweg.studies.protocol import tuning_seeds
from thalweg.studies.training import RunSpec
from thalweg.workloads.workload import Workload

PROBE = 8  # minimum steps of the runs that measure the pace
PROBE_SECONDS = 0.3  # maximum time of these steps where more than the minimum are affordable
VERY_LARGE = 1e10  # operations per step above which only two steps are measured
PROBED = 0.05  # maximum share of a study's expected steps spent on measuring
PROBED_TO_TELL = 0.02  # the same where nothing is cut by it, and a person waits to be told
SHARE = 0.8  # share of the budget that is planned; the remainder is for edge extensions and the report
MARGIN = 1.1  # safety factor of the budget that an error message advises: the measured pace is noisy
SHORTEST = 0.25  # minimum share of its training that a run keeps before seeds are dropped
FEWEST_TRIALS = 8  # minimum trials that a search keeps before its runs are shortened
FEWER_SEEDS = (
    (2, 3, SHORTEST),
    (1, 2, 0.0),
)  # successive cuts: (tuning seeds, confirmation seeds, minimum share of the training)


@dataclass(frozen=True)
class Pace:
    """Wall-clock seconds per run in vectorized training: per step, per measurement and fixed."""

    per_step: float
    per_measurement: float
    per_run: float

    def of(self, runs: float, workload: Workload) -> float:
        """Seconds that `runs` full runs take."""
        each = workload.total_steps * self.per_step + len(workload.milestones) * self.per_measurement
        return runs * (self.per_run + each)

    def steps(self, runs: float, seconds: float, workload: Workload) -> int:
        """Steps per run that fit `runs` runs into `seconds`, at most the workload's; below 1 where none fit."""
        if self.of(runs, workload) <= seconds:
            return workload.total_steps
        per_step = self.per_step + self.per_measurement / workload.measuring_interval
        return int((seconds / runs - self.per_run - self.per_measurement) / per_step)


def measure_all(jobs: Jobs, design: Design, *, share: float = PROBED) -> Pace:
    """The mean pace of the runs of several models, each measured as by `measure`."""
    of = [(planned, replace(design, contenders=own)) for planned, own in jobs.parts(design.contenders)]
    runs = [expected_runs(part) for _, part in of]
    paces = [measure(planned, part, share=share) for planned, part in of]
    means = (
        sum(n * getattr(pace, name) for n, pace in zip(runs, paces, strict=True)) / sum(runs)
        for name in ("per_step", "per_measurement", "per_run")
    )
    return paces[0] if len(paces) == 1 else Pace(*means)


def measure(planned: PlannedJob, design: Design, *, share: float = PROBED) -> Pace:
    """Measures the pace: trains the first round's first populations, one per worker, for a few steps; in the plain
    loop, one run per worker.

    Timings are cached, since each run of a large network ends with a slow evaluation. Replicas of a model are trained:
    the calls of `model()` that runs need are added at their measured time. share: of the study's expected steps, at
    most, unless `PROBE` steps are more.
    """
    members = _first_round(design, planned.job.workload)
    plan = planned.plan
    parts = plan.populations(members)[: plan.workers]
    parts = parts if plan.width > 1 else [part[:1] for part in parts]
    probed = [members[i] for i in sorted(i for part in parts for i in part)]
    built = sum(len({members[i].seed for i in part}) for part in parts)
    assert planned.models is not None, "before training"
    rehearsed = replace(planned, job=rehearsal(planned.job, planned.models, design.base_seed))
    pace = _of_steps(rehearsed, design, probed, share)
    return replace(pace, per_run=pace.per_run + planned.job.building * built / len(probed))


def _of_steps(planned: PlannedJob, design: Design, probed: Sequence[Member], share: float) -> Pace:
    if planned.job.large:
        return _on_few_samples(planned, probed)
    seconds = cache(partial(_taken, planned, probed))
    _taken(planned, probed, PROBE, PROBE)  # warm-up: traces, and loads kernels
    rough = (seconds(3 * PROBE, PROBE) - seconds(PROBE, PROBE)) / (2 * PROBE)
    study = expected_runs(design) / len(probed) * planned.job.workload.total_steps
    n = max(PROBE, int(min(study * share / 10, PROBE_SECONDS / max(1e-9, rough * len(probed)))))
    if n > PROBE:
        _taken(planned, probed, 3 * n, n)  # warm-up: also traces an epoch's last, smaller batch if reached
    short, long, measured = seconds(n, n), seconds(3 * n, 3 * n), seconds(3 * n, n)
    per_step = max(1e-9, (long - short) / (2 * n))
    return Pace(per_step, max(0.0, (measured - long) / 2), max(0.0, short - n * per_step))


def _taken(planned: PlannedJob, probed: Sequence[Member], steps: int, every: int) -> float:
    """Seconds per run for training `probed` over `steps` steps, evaluated every `every` steps."""
    workload = replace(planned.job.workload, steps=steps, evaluate_every=every)
    began = time.perf_counter()
    job = replace(planned.job, workload=workload, early_stopping=None)
    probed = [replace(member, early_stopping=None) for member in probed]
    for _ in train(replace(planned, job=job), probed, live=False):
        pass
    return (time.perf_counter() - began) / len(probed)


def _on_few_samples(planned: PlannedJob, probed: Sequence[Member]) -> Pace:
    """Measures the pace of a large model over few steps on one batch of each split; evaluating a sample is taken to
    cost a third of training on it.

    Single steps of such a model are long enough to time, very long ones even including the warm-up.
    """
    workload = planned.job.workload
    train, validation = (split.head(workload.step_samples) for split in (workload.train, workload.validation))
    short = planned.of(replace(workload, train=train, validation=validation))
    evaluated = (len(train) + len(validation)) / (3 * workload.step_samples)  # in steps
    if planned.job.operations > VERY_LARGE:
        per_step, begun = _taken(short, probed, 2, 2) / (2 + evaluated), 0.0
    else:
        _taken(short, probed, 1, 1)  # loads kernels
        one, three = _taken(short, probed, 1, 1), _taken(short, probed, 3, 3)
        per_step = max(1e-9, (three - one) / 2)
        begun = max(0.0, one - (1 + evaluated) * per_step)
    per_sample = per_step / (3 * workload.step_samples)
    return Pace(per_step, len(workload.validation) * per_sample, begun + len(workload.train) * per_sample)


def _first_round(design: Design, workload: Workload) -> list[Member]:
    return [
        RunSpec(contender, given, seed, "tuning", "coarse").member(workload)
        for seed in tuning_seeds(design.base_seed, design.seeds)
        for contender in design.contenders
        for given in contender.configurations(design.learning_rates, design.per_decade)
    ]


def fit(design: Design, workload: Workload, pace: Pace, seconds: float) -> tuple[Design, Workload, list[str]]:
    """Cuts the study to `seconds` from now. Returns design, workload, and one sentence per cut.

    Raises:
        InputError: where not even the smallest study fits; the message says how much more time is needed.
    """
    available = SHARE * seconds
    found = next((f for f in _fitting(design, workload, pace, available)), None)
    if found is None:
        least, fair = (_needed(design, workload, pace, share) - seconds for share in (0.0, SHORTEST))
        raise InputError(
            f"The budget is too short for these optimizers: give at least {duration(least)} more, or {duration(fair)}"
            " more for a quarter of the training, or compare fewer."
        )
    candidate, steps, given_up = found
    notes = [f"To fit the budget, the study gave up {', '.join(given_up)}."] if given_up else []
    if steps < workload.total_steps:
        notes.append(f"To fit the budget, runs train {counted(steps, 'step')} in place of {workload.total_steps:,}.")
        workload = replace(workload, steps=steps)
    return candidate, workload, notes


def _needed(design: Design, workload: Workload, pace: Pace, share: float) -> float:
    """Budget in seconds for the smallest study whose runs train at least the share `share` of their steps."""
    *_, (smallest, _, _) = _ladder(design)
    steps = max(1, math.ceil(share * workload.total_steps))
    return MARGIN * pace.of(expected_runs(smallest), replace(workload, steps=steps)) / SHARE


def duration(seconds: float) -> str:
    """Formats seconds: in seconds below two minutes, minutes below two hours, hours beyond."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _fitting(
    design: Design, workload: Workload, pace: Pace, available: float
) -> Iterator[tuple[Design, int, list[str]]]:
    """Yields (design, steps per run, cuts) of every study that fits, best first."""
    for candidate, share, given_up in _ladder(design):
        steps = pace.steps(expected_runs(candidate), available, workload)
        if steps >= max(1, share * workload.total_steps):
            yield candidate, steps, given_up


def expected_runs(design: Design) -> int:
    """Number of runs of a study without edge extensions."""
    return design.expected * design.seeds + design.finals * design.confirm_seeds


def _ladder(design: Design) -> Iterator[tuple[Design, float, list[str]]]:
    """Yields (design, minimum share of the training, cuts), from the full study down."""
    lost: list[str] = []
    yield design, 1.0, lost
    if design.tune:
        while design.trials > FEWEST_TRIALS:
            design = replace(design, trials=design.trials // 2)
            lost = [f"all but {design.trials} trials"]
            yield design, 1.0, lost
    elif design.learning_rates is None:
        design = replace(design, fine=False)
        lost = ["the fine grid"]
        yield design, 1.0, lost
        design = replace(design, per_decade=1)
        lost = [*lost, "every other rate of the coarse grid"]
        yield design, 1.0, lost
    yield design, SHORTEST, lost
    whole = design
    for seeds, confirm, share in FEWER_SEEDS:
        design = replace(whole, seeds=min(whole.seeds, seeds), confirm_seeds=min(whole.confirm_seeds, confirm))
        seeds_left = f"all but {design.seeds} tuning and {design.confirm_seeds} confirmation seeds"
        yield design, share, lost if design == whole else [*lost, seeds_left]


class Clock:
    """Tracks a study's time budget: tells how many runs still fit; without a budget all do."""

    def __init__(
        self,
        began: float,
        seconds: float | None,
        pace: Pace | None,
        workload: Workload,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.now, self._until = now, None if seconds is None else began + seconds
        self._pace, self._workload = pace, workload
        self._drift = 1.0
        self.replay((), lambda answers: None)

    @property
    def limited(self) -> bool:
        """Whether there is a budget."""
        return self._until is not None

    def ran(self, runs: int, since: float) -> None:
        """Corrects the pace by a stage of `runs` runs that began at `since` (`now`'s time) and ends now."""
        if self._pace is not None and runs:
            self._drift = (self.now() - since) / self._pace.of(runs, self._workload)

    def replay(self, answers: Sequence[int], record: Callable[[Sequence[int]], None]) -> None:
        """Replays recorded `answers` of `affords` before computing new ones, so that a resumed study takes the same
        decisions. `record` receives all answers after each new one."""
        self._answers, self._record, self._given = list(answers), record, 0

    def affords(self, runs: int) -> int:
        """Number of `runs` that still fit; a replayed answer first where there is one."""
        if self._until is None or self._pace is None:
            return runs
        if self._given == len(self._answers):
            each = self._drift * self._pace.of(1, self._workload)
            self._answers.append(max(0, min(runs, int((self._until - self.now()) / each))))
            self._record(self._answers)
        self._given += 1
        return self._answers[self._given - 1]
