"""The planned jobs of a study: one for every model that its contenders train."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from thalweg.errors import InputError
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.program.models import build
from thalweg.population.training.autograd import gradients_of
from thalweg.population.training.job import Job
from thalweg.population.training.verification import first_batches
from thalweg.studies.contenders import Contender
from thalweg.workloads.content import joined, model_content
from thalweg.workloads.model_arguments import default_of, require_taken, written
from thalweg.workloads.workload import Workload

OWN = "its own arguments"
"""Which model one is that is given no arguments."""


@dataclass(frozen=True)
class Jobs:
    """Planned jobs by model, whose name is the text of its arguments (`Contender.trains`); at least one.

    All have the same data, and runs of the same length.
    """

    by_model: Mapping[str, PlannedJob]

    @classmethod
    def planned(
        cls,
        contenders: Sequence[Contender],
        workload: Workload,
        plan: Callable[[Workload, Sequence[Contender], str], PlannedJob],
        seed: int,
    ) -> "Jobs":
        """One for every model. plan: of a workload with that model, of its contenders and its name. seed: the first.

        Raises `InputError` where the factory does not take the arguments, or two sets of them make the same model.
        """
        of = grouped(contenders)
        workloads = {name: with_arguments(workload, own[0].arguments) for name, own in of.items()}
        jobs = cls({name: _told_of(name, len(of), partial(plan, workloads[name], of[name], name)) for name in of})
        jobs._require_different(seed)
        return jobs

    @classmethod
    def single(cls, planned: PlannedJob) -> "Jobs":
        """That of a study with the workload's own model."""
        return cls({"": planned})

    @property
    def first(self) -> PlannedJob:
        """That of the first contender."""
        return next(iter(self.by_model.values()))

    @property
    def all(self) -> tuple[PlannedJob, ...]:
        return tuple(self.by_model.values())

    def of(self, contender: Contender) -> PlannedJob:
        return self.by_model[contender.trains]

    def parts(self, contenders: Sequence[Contender]) -> Iterator[tuple[PlannedJob, list[Contender]]]:
        """Each job with its contenders, in their order."""
        for name, own in grouped(contenders).items():
            yield self.by_model[name], own

    def changed(self, change: Callable[[PlannedJob], PlannedJob]) -> "Jobs":
        return Jobs({name: change(planned) for name, planned in self.by_model.items()})

    def with_job(self, **changes: Any) -> "Jobs":
        """The same with these fields of every job replaced."""
        return self.changed(lambda planned: replace(planned, job=replace(planned.job, **changes)))

    def of_steps(self, steps: int | None) -> "Jobs":
        """The same with runs of so many steps; `None` for whole epochs."""
        return self.changed(lambda planned: planned.of(replace(planned.job.workload, steps=steps)))

    @property
    def content(self) -> str:
        """A hash of the models, and of their arguments where they are given any."""
        if [*self.by_model] == [""]:
            return self.first.job.content
        return joined(*(f"{name} {planned.job.content}" for name, planned in self.by_model.items()))

    @property
    def described(self) -> dict[str, Any]:
        """The plan for the record: that of the first, and of each where there are several."""
        own = {name: planned.plan.describe() for name, planned in self.by_model.items()}
        return {**self.first.plan.describe(), **({"models": own} if len(own) > 1 else {})}

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of the models, each sentence once, and of which model where it is not of all."""
        of: dict[str, list[str]] = {}
        for name, planned in self.by_model.items():
            for note in planned.job.notes:
                of.setdefault(note, []).append(name or OWN)
        found = [
            note if len(names) == len(self.by_model) else f"With {' and '.join(names)}: {note}"
            for note, names in of.items()
        ]
        counts = {name: planned.job.parameters for name, planned in self.by_model.items()}
        if len({*counts.values()}) > 1:
            each = ", ".join(f"{count:,} with {name or OWN}" for name, count in counts.items())
            found.append(f"The models differ in their number of parameters: {each}.")
        return tuple(found)

    def _require_different(self, seed: int) -> None:
        """Raises `InputError` where two sets of arguments make the same model."""
        first: dict[str, str] = {}
        for name, planned in self.by_model.items():
            other = first.setdefault(planned.job.content, name)
            if other != name and _loss(self.by_model[other].job, seed) == _loss(planned.job, seed):
                raise InputError(
                    f"{other or OWN} and {name or OWN} make the same model: the factory leaves them unused, they mean"
                    " the same to it, or weights to start from take their place."
                )


def _told_of(name: str, models: int, plan: Callable[[], PlannedJob]) -> PlannedJob:
    """The plan of one model. Of several, an error says of which it is."""
    try:
        return plan()
    except InputError as error:
        if models == 1:
            raise
        raise InputError(f"With {name or OWN}: {error}") from error.__cause__


def with_arguments(workload: Workload, arguments: Mapping[str, Any]) -> Workload:
    """The workload whose factory is called with these arguments; the same workload for none.

    Raises `InputError` where the factory does not take one of them.
    """
    if not arguments:
        return workload
    require_taken(workload, arguments)
    return replace(workload, model=partial(workload.model, **arguments))


def require_used(jobs: Jobs, contenders: Sequence[Contender], workload: Workload, seed: int) -> None:
    """Raises `InputError` where an argument changes no model of those that are given it.

    A value that is the factory's default changes nothing, and may.
    """
    arguments: dict[str, dict[str, Mapping[str, Any]]] = {}
    for contender in contenders:
        for name, value in contender.arguments.items():
            if not _is(value, default_of(workload.model, name)):
                arguments.setdefault(name, {})[contender.trains] = contender.arguments
    for name, of in arguments.items():
        if not any(_changes(jobs.by_model[model].job, name, given, seed, workload) for model, given in of.items()):
            raise InputError(
                f"The model of {workload.name!r} is the same with {written({name: next(iter(of.values()))[name]})} as"
                " without: its factory leaves it unused, or weights to start from take the place."
            )


def _is(value: Any, default: Any) -> bool:
    """Whether a value is a factory's default, of the same type but for lists, which contenders hold as tuples."""
    return repr(value) == repr(tuple(default) if isinstance(default, list) else default)


def _changes(job: Job, name: str, arguments: Mapping[str, Any], seed: int, workload: Workload) -> bool:
    """Whether a job's model is another one without an argument."""
    others = {other: value for other, value in arguments.items() if other != name}
    without = replace(job, workload=with_arguments(workload, others))
    try:
        content = model_content(build(without.workload, seed, job.device))
    except Exception:  # the factory may need it
        return True
    return content != job.content or _loss(without, seed) != _loss(job, seed)


def _loss(job: Job, seed: int) -> str:
    """The first batch's training loss, to the last bit: what no content of a model shows may show there."""
    batch = first_batches(job.workload, 1)[0]
    try:
        return repr(gradients_of(job, build(job.workload, seed, job.device), batch, seed, 1).loss)
    except Exception as error:  # a model may raise anything
        return repr(error)


def grouped(contenders: Sequence[Contender]) -> dict[str, list[Contender]]:
    """Contenders by their models, in their order."""
    of: dict[str, list[Contender]] = {}
    for contender in contenders:
        of.setdefault(contender.trains, []).append(contender)
    return of


def plan_recorded(record: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """The plan of a model in a study's recorded plan."""
    found: Mapping[str, Any] = record.get("models", {}).get(model, record)
    return found
