"""Schedules in a comparison: how a contender's learning rate changes in a run, whatever rate is tuned."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from thalweg.analysis.dimensions import CONSTANT
from thalweg.errors import InputError, shown
from thalweg.recipes.catalogue import Recipe, checked
from thalweg.recipes.imported import Imported
from thalweg.schedules import Performance, Schedule, as_schedule, parse, scale
from thalweg.schedules.schedule import text_name
from thalweg.workloads.workload import Workload

SAMPLED = 10_000  # steps of a user's function whose values are looked at
Given = Schedule | Performance


@dataclass(frozen=True)
class InRun:
    """Hyperparameters of one run. performance: what changes its learning rate by the metric, if anything does."""

    values: dict[str, Any]
    performance: Performance | None = None


def read(given: Any) -> Given | None:
    """A schedule from one, its text or a function of the step; `None` for a constant rate.

    Raises `InputError` for anything else.
    """
    if isinstance(given, str):
        given = parse(given)
    if isinstance(given, Performance):
        return given
    found = as_schedule(given)
    if found is None:
        raise InputError(
            "A schedule must be a text such as 'cosine(warmup=5%)', one of thalweg.schedules or a function of the step,"
            f" got {shown(given)}."
        )
    return None if str(found) in (CONSTANT, f"{CONSTANT}()") else found


def base_of(schedule: Given) -> float | None:
    """The learning rate that a schedule states itself; `None` where it scales the one that is tuned."""
    if isinstance(schedule, Performance):
        return schedule.rate
    return schedule.base if schedule.arguments else None  # of a user's function, the shape alone counts


def written(schedule: Given | None) -> str:
    """A schedule's text, such as "cosine(warmup=5%)" or "1cycle"."""
    if schedule is None:
        return CONSTANT
    text = str(schedule)
    return text.removesuffix("()") if isinstance(schedule, Performance) or schedule.arguments else text_name(text)


def is_named(schedule: Given) -> bool:
    """Whether its text makes it again; a user's function has none."""
    return isinstance(schedule, Performance) or schedule.is_closed


def functions_of(schedule: Schedule) -> list[Any]:
    """The functions of the user's in a schedule."""
    if schedule.arguments:
        return [function for part in schedule.parts for function in functions_of(part)]
    return [schedule.shape]


def in_run(
    recipe: Recipe | Imported, schedule: Given | None, given: Mapping[str, Any], workload: Workload, owner: str
) -> InRun:
    """The hyperparameters of a run of a workload: those given, and its learning rate under the schedule.

    Raises `InputError` where the run is too short for the schedule, or values lie out of their range.
    """
    values = dict(recipe.resolve(given))
    if schedule is None:
        return InRun(values)
    rate = recipe.rate
    base = None if rate is None else values.get(rate)
    if rate is None or not isinstance(base, int | float):
        raise InputError(f"{owner} has no learning rate that is a number, which a schedule would change.")
    if isinstance(schedule, Performance):
        own = replace(schedule, higher_is_better=workload.metric.maximized)
        return InRun(values, own.with_base(float(base)))
    if schedule.arguments:
        whole = schedule.with_base(float(base))
        whole = whole.resolved(steps=workload.total_steps, steps_per_epoch=workload.steps_per_epoch)
    else:
        whole = scale(schedule, float(base) / _largest(schedule, workload.total_steps, owner))
    return InRun({**values, **_under(recipe, whole, rate, values, owner)})


def _largest(schedule: Schedule, steps: int, owner: str) -> float:
    """The largest value of a user's function in a run, which stands for the rate that is tuned.

    Raises `InputError` unless it is above 0. Of long runs, `SAMPLED` steps are looked at.
    """
    stride = 1 + steps // SAMPLED
    values = [float(schedule.at(t)) for t in sorted({*range(0, steps, stride), steps - 1})]
    most = max(values)
    if not 0 < most < math.inf:
        raise InputError(
            f"{owner}: a schedule must be above 0 at some step, and {schedule} is {most:g} at most in {steps:,} steps."
        )
    return most


def _under(
    recipe: Recipe | Imported, schedule: Schedule, rate: str, values: Mapping[str, Any], owner: str
) -> dict[str, Any]:
    """The learning rate, and the momentum of a 1cycle where the optimizer has one that is not 0."""
    found: dict[str, Any] = {}
    if schedule.momentum is not None:
        name = momentum_of(recipe, values)
        if name is not None:
            found[name] = schedule.momentum
        schedule = schedule.remade(momentum=False)
    found[rate] = schedule
    if isinstance(recipe, Recipe):
        found = {name: checked(recipe.hyperparameters[name], owner, value) for name, value in found.items()}
    return found


def momentum_of(recipe: Recipe | Imported, values: Mapping[str, Any]) -> str | None:
    """The hyperparameter that is the momentum, where it is not 0; `None` without one."""
    name = recipe.rule.momentum if isinstance(recipe, Recipe) else "momentum"
    return name if name is not None and values.get(name) else None


def require_lengths(schedule: Given | None, workload: Workload) -> None:
    """Raises `InputError` where the runs of a workload are too short for a schedule."""
    if isinstance(schedule, Schedule) and schedule.arguments:
        run = {"steps": workload.total_steps, "steps_per_epoch": workload.steps_per_epoch}
        schedule.with_base(1.0).resolved(**run)


def split_off(
    fixed: Mapping[str, Any], given: Any, rate: str | None, owner: str
) -> tuple[dict[str, Any], Given | None]:
    """A contender's fixed hyperparameters as numbers, and its schedule, which may stand among them. given: its own.

    Raises `InputError` where another hyperparameter than the learning rate has a schedule, or that has two.
    """
    among = {name: value for name, value in fixed.items() if isinstance(value, Schedule | Performance)}
    odd = next((name for name in among if name != rate), None)
    if odd is not None:
        raise InputError(f"{owner}: in a comparison {rate!r} may have a schedule, and {odd!r} a number.")
    own, other = among.get(rate or ""), None if given is None else read(given)
    if own is not None and other not in (None, own):
        raise InputError(f"{owner}: two schedules, {own} and {other}; keep one.")
    schedule, rest = own or other, {name: value for name, value in fixed.items() if name not in among}
    if schedule is None:
        return rest, None
    if rate is None:
        raise InputError(f"{owner} has no learning rate that a schedule could change.")
    base = base_of(schedule)
    return rest if base is None else {**rest, rate: base}, schedule


def listed_schedules(given: Sequence[Any]) -> list[Given | None]:
    """The schedules of a comparison, each once. Raises `InputError` for one that states a rate, or stands twice."""
    found = [read(one) for one in given]
    for one in found:
        if one is not None and base_of(one) is not None:
            raise InputError(
                f"Of the schedules of a comparison the learning rate is tuned, and {one} has one of its own: leave out"
                f" {base_of(one):g}, or give it to a single optimizer, as in 'adam(lr={one})'."
            )
    texts = [written(one) for one in found]
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice:
        raise InputError(f"The schedule {twice!r} stands twice in the list; name each once.")
    return found
