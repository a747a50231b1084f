"""The planned jobs of a study: one for every model that its contenders train."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from thalweg.errors import InputError
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.studies.contenders import Contender
from thalweg.workloads.content import joined
from thalweg.workloads.model_arguments import Arguments, require_taken, written
from thalweg.workloads.workload import Workload


@dataclass(frozen=True)
class Jobs:
    """Planned jobs by the arguments that their model's factory is given; at least one. All have the same data."""

    by_arguments: Mapping[Arguments, PlannedJob]

    @classmethod
    def planned(
        cls,
        contenders: Sequence[Contender],
        workload: Workload,
        plan: Callable[[Workload, Sequence[Contender], str], PlannedJob],
    ) -> "Jobs":
        """One for every model. plan: of a workload with that model, its contenders, and its arguments as text.

        Raises `InputError` where the factory does not take the arguments, or they change nothing.
        """
        of = grouped(contenders)
        workloads = {arguments: with_arguments(workload, dict(arguments)) for arguments in of}
        jobs = cls({a: plan(workloads[a], of[a], written(a)) for a in of})
        jobs._require_different()
        return jobs

    @classmethod
    def single(cls, planned: PlannedJob) -> "Jobs":
        """That of a study with the workload's own model."""
        return cls({(): planned})

    @property
    def first(self) -> PlannedJob:
        """That of the first contender."""
        return next(iter(self.by_arguments.values()))

    @property
    def all(self) -> tuple[PlannedJob, ...]:
        return tuple(self.by_arguments.values())

    def of(self, contender: Contender) -> PlannedJob:
        return self.by_arguments[contender.arguments]

    def parts(self, contenders: Sequence[Contender]) -> Iterator[tuple[PlannedJob, list[Contender]]]:
        """Each job with its contenders, in their order."""
        for arguments, own in grouped(contenders).items():
            yield self.by_arguments[arguments], own

    def changed(self, change: Callable[[PlannedJob], PlannedJob]) -> "Jobs":
        return Jobs({arguments: change(planned) for arguments, planned in self.by_arguments.items()})

    def with_job(self, **changes: Any) -> "Jobs":
        """The same with these fields of every job replaced."""
        return self.changed(lambda planned: replace(planned, job=replace(planned.job, **changes)))

    def of_steps(self, steps: int | None) -> "Jobs":
        """The same with runs of so many steps; `None` for whole epochs."""
        return self.changed(lambda planned: planned.of(replace(planned.job.workload, steps=steps)))

    @property
    def content(self) -> str:
        """A hash of the models."""
        if len(self.by_arguments) == 1:
            return self.first.job.content
        return joined(*(f"{written(a)} {planned.job.content}" for a, planned in self.by_arguments.items()))

    @property
    def described(self) -> dict[str, Any]:
        """The plan for the record: that of the first, and of each where there are several."""
        own = {written(a): planned.plan.describe() for a, planned in self.by_arguments.items()}
        return {**self.first.plan.describe(), **({"models": own} if len(own) > 1 else {})}

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of the models, each sentence once."""
        found = [note for planned in self.all for note in planned.job.notes]
        counts = {written(a): planned.job.parameters for a, planned in self.by_arguments.items()}
        if len({*counts.values()}) > 1:
            each = ", ".join(f"{count:,} with {text or 'its own arguments'}" for text, count in counts.items())
            found.append(f"The models differ in their number of parameters: {each}.")
        return tuple(dict.fromkeys(found))

    def _require_different(self) -> None:
        """Raises `InputError` where two sets of arguments make the same model."""
        first: dict[str, str] = {}
        for arguments, planned in self.by_arguments.items():
            text = written(arguments) or "the model without arguments"
            other = first.setdefault(planned.job.content, text)
            if other != text:
                raise InputError(
                    f"{other} and {text} make the same model: its factory leaves them unused, or weights to start from"
                    " take their place."
                )


def with_arguments(workload: Workload, arguments: Mapping[str, Any]) -> Workload:
    """The workload whose factory is called with these arguments; the same workload for none.

    Raises `InputError` where the factory does not take one of them.
    """
    if not arguments:
        return workload
    require_taken(workload, arguments)
    return replace(workload, model=partial(workload.model, **arguments))


def grouped(contenders: Sequence[Contender]) -> dict[Arguments, list[Contender]]:
    """Contenders by their models, in their order."""
    of: dict[Arguments, list[Contender]] = {}
    for contender in contenders:
        of.setdefault(contender.arguments, []).append(contender)
    return of


def plan_recorded(record: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    """The plan of a model in a study's recorded plan. text: its arguments, as `written`."""
    found: Mapping[str, Any] = record.get("models", {}).get(text, record)
    return found
