"""A study's design (contenders, rates, seeds) and its initial record."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.population.training.job import Job
from thalweg.records.types import StudyRecord
from thalweg.studies.calls import calls
from thalweg.studies.contender_notes import own_content
from thalweg.studies.contenders import Contender
from thalweg.studies.environment import environment
from thalweg.studies.jobs import Jobs
from thalweg.studies.protocol import FINE_PER_DECADE, PER_DECADE, PROTOCOL, Cap, confirmation_seeds, tuning_seeds
from thalweg.studies.search import SearchTuner
from thalweg.studies.tuning import FINE, GridTuner, Tuner, cap_of
from thalweg.workloads.content import content
from thalweg.workloads.workload import Workload

MOST_RUNS = 1_000_000  # per study: their records must fit in memory


@dataclass(frozen=True)
class Design:
    """A study's contenders, learning rates and seeds.

    learning_rates: the user's, run exactly; `None` for the protocol's grid of `per_decade` rates per decade, refined
    around the best where `fine`. tune: hyperparameters to search in `trials` trials instead of the grid; empty for the
    grid. clip_norm: the largest norm of a step's gradients, which every contender's recipe is given. found: (label,
    low, high) of intervals of a range test, which the grids of these contenders cover; `None` without one.

    Raises `InputError` where a contender has another limit of its own, or two have one label.
    """

    contenders: Sequence[Contender]
    learning_rates: tuple[float, ...] | None
    seeds: int
    confirm_seeds: int
    base_seed: int
    per_decade: int = PER_DECADE
    fine: bool = True
    tune: tuple[str, ...] = ()
    trials: int = 0
    clip_norm: float | None = None
    found: tuple[tuple[str, float, float], ...] | None = None

    def __post_init__(self) -> None:
        labels = [c.label for c in self.contenders]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice:
            raise InputError(f"Two contenders are called {shown(twice)}: give one of them another title.")
        if self.clip_norm is not None:
            clipped = [contender.clipped(self.clip_norm) for contender in self.contenders]
            object.__setattr__(self, "contenders", clipped)
        if self.found:
            interval = {label: (low, high) for label, low, high in self.found}
            narrowed = [c.searching(interval[c.label]) if c.label in interval else c for c in self.contenders]
            object.__setattr__(self, "contenders", narrowed)

    @property
    def refines(self) -> bool:
        """Whether the grid is refined around the best learning rate."""
        return self.fine and not self.tune and self.learning_rates is None

    @property
    def expected(self) -> int:
        """Number of configurations summed over contenders, without edge extensions."""
        if self.tune:
            return self.trials * len(self.contenders)
        coarse = sum(len(c.configurations(self.learning_rates, self.per_decade)) for c in self.contenders)
        return coarse + FINE * sum(c.has_own_grid for c in self.contenders if self.refines)

    @property
    def finals(self) -> int:
        """Maximum confirmation runs per seed; a contender without a choice runs its published defaults only."""
        return sum(1 + (contender.published is not None) for contender in self.contenders)

    @property
    def configurations(self) -> int:
        """Maximum number of configurations per contender, each counted once for every evaluation in a step."""
        if self.tune:
            return self.trials
        return cap_of(self.contenders, self.learning_rates, self.per_decade, fine=self.fine)

    def cap(self, steps: int, seconds: float | None) -> Cap:
        runs = self.configurations * self.seeds
        return Cap(runs, runs * steps, seconds)

    def tuners(self, *, higher_is_better: bool) -> list[Tuner]:
        """One tuner per contender."""
        if self.tune:
            return [
                SearchTuner(c, self.tune, self.trials, self.base_seed + i, higher_is_better=higher_is_better)
                for i, c in enumerate(self.contenders)
            ]
        return [
            GridTuner(
                c,
                self.learning_rates,
                self.configurations,
                higher_is_better=higher_is_better,
                per_decade=self.per_decade,
                fine=self.fine,
            )
            for c in self.contenders
        ]


def require_feasible(design: Design) -> None:
    """Raises `InputError` where `tune` and `learning_rates` conflict, a hyperparameter cannot be searched, or the study
    has more than `MOST_RUNS` runs."""
    if design.tune and design.learning_rates:
        raise InputError("learning_rates are run exactly and tune searches: give one of the two.")
    runs = design.expected * design.seeds + 2 * len(design.contenders) * design.confirm_seeds
    if runs > MOST_RUNS:
        raise InputError(
            f"The study would train {runs:,} models, and at most {MOST_RUNS:,} are accepted: compare fewer optimizers,"
            " values, trials or seeds."
        )
    design.tuners(higher_is_better=True)  # raises early for what cannot be searched


def require_rates_to_find(design: Design) -> None:
    """Raises `InputError` where a range test has no learning rate to find, or rates are searched otherwise."""
    if design.tune:
        raise InputError("learning_rates='found' begins a grid and tune searches: give one of the two.")
    if not any(c.has_own_grid for c in design.contenders):
        raise InputError(
            "No optimizer given has a learning rate to find: name one that has a rate, and leave the rate open."
        )


def describe(design: Design, workload: Workload, jobs: Jobs, seconds: float | None = None) -> StudyRecord:
    """The study's record before it begins. seconds: time cap of tuning one contender."""
    splits = {"train": workload.train, "validation": workload.validation, "test": workload.test}
    return StudyRecord(
        workload=workload.name,
        metric=workload.metric.name,
        higher_is_better=workload.metric.maximized,
        target=workload.target,
        steps=workload.total_steps,
        steps_per_epoch=workload.steps_per_epoch,
        evaluate_every=workload.measuring_interval,
        batch_size=workload.batch_size,
        drop_last=workload.drop_last,
        accumulate=workload.accumulate,
        precision=workload.precision,
        samples={name: len(split) for name, split in splits.items() if split is not None},
        parameters=jobs.first.job.parameters,
        contenders=tuple(c.label for c in design.contenders),
        learning_rates=_rates(design),
        refined=FINE_PER_DECADE if design.refines else None,
        tuning_seeds=tuning_seeds(design.base_seed, design.seeds),
        confirmation_seeds=confirmation_seeds(design.base_seed, design.confirm_seeds),
        protocol=PROTOCOL,
        caps=asdict(design.cap(workload.total_steps, seconds)),
        environment=environment(jobs.first.job.device),
        plan={**jobs.described, "clip_norm": design.clip_norm, **_stopping(jobs.first.job, design)},
        content={**content(workload, jobs.content), **own_content(design.contenders)},
        factors={c.label: c.factors for c in design.contenders},
        calls=calls({c.label: c for c in design.contenders}, grouped=bool(workload.parameters)),
    )


def _rates(design: Design) -> Mapping[str, tuple[float, ...]]:
    if design.tune:
        return {c.label: c.recipe.rates if c.has_own_grid else c.rates(None) for c in design.contenders}
    return {c.label: c.rates(design.learning_rates, design.per_decade) for c in design.contenders}


def _stopping(job: Job, design: Design) -> dict[str, Any]:
    """The rule by which all runs end early, or those by which the runs of some contenders do, by label."""
    rule = job.early_stopping
    own = {c.label: asdict(c.early_stopping) for c in design.contenders if c.early_stopping is not None}
    of_all = {} if rule is None else {"early_stopping": asdict(rule)}
    return {**of_all, **({"early_stopping_of": own} if own else {})}
