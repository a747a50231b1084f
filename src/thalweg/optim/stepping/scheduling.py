"""Schedules of hyperparameters: their current values stand in the param groups, as torch's schedulers put them.

A group's schedules lie under `schedules`, by the rule's names of hyperparameters, and the number of steps taken under
`schedule_step`: a number, or for a capturable optimizer a tensor, as the hyperparameters are then.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.optim.interop.signature import class_name, spelled
from thalweg.optim.stepping.diagnostics import OptimizerWarning, tell
from thalweg.optim.stepping.reading import plain
from thalweg.recipes.catalogue import Recipe, in_sequence
from thalweg.schedules import Schedule, as_schedule, parse

SCHEDULES, COUNT = "schedules", "schedule_step"

Group = dict[str, Any]


class ScheduleEnded(OptimizerWarning):
    """A hyperparameter with a schedule was set by hand, or by a checkpoint without one: it keeps that value."""


def begin(recipe: Recipe, group: Group) -> None:
    """Moves the schedules among a new group's hyperparameters to their place, and puts first values in theirs."""
    found: dict[str, Schedule] = {}
    for name in spelled(recipe):
        members = recipe.rule.tuples.get(name, (name,))
        values = in_sequence(group.get(name)) if name in recipe.rule.tuples else (group.get(name),)
        found |= {m: s for m, v in zip(members, values, strict=False) if (s := as_schedule(v)) is not None}
    if found:
        group[SCHEDULES], group[COUNT] = found, 0
        if group.get("capturable"):
            device = group["params"][0].device if group["params"] else None
            group[COUNT] = torch.zeros((), dtype=torch.float64, device=device)
        _put(recipe, group)


def base(group: Mapping[str, Any], name: str, value: Any) -> Any:
    """The base of a hyperparameter's schedule; without one, `value`."""
    schedule = group.get(SCHEDULES, {}).get(name)
    return value if schedule is None else schedule.base


def end_overridden(recipe: Recipe, group: Group) -> None:
    """Ends the schedule of a hyperparameter that somebody has set since the last step, with a warning.

    A capturable optimizer's values lie in tensors: one ends where another object stands in the tensor's place.
    """
    schedules: dict[str, Schedule] = group[SCHEDULES]
    for name, schedule in [*schedules.items()]:
        now = _at(recipe, group, name)
        if isinstance(group[COUNT], Tensor):
            kept = isinstance(now, Tensor)
        else:
            kept = not isinstance(now, Tensor) and now == _value(recipe, name, schedule, group[COUNT])
        if not kept:
            del schedules[name]
            _tell(recipe, name, f"was set to {now!r} beside its schedule {schedule}, which ends here")


def advance(recipe: Recipe, group: Group, *, found_inf: Tensor | None = None) -> None:
    """Puts the values of the next step into the group; those of the same step again where `found_inf` is not 0."""
    count = group[COUNT]
    if isinstance(count, Tensor):
        count.add_(1 if found_inf is None else (found_inf == 0).to(count))
    else:
        group[COUNT] = count + 1
    _put(recipe, group)


def as_text(group: Mapping[str, Any]) -> dict[str, str]:
    """A group's schedules as a checkpoint holds them."""
    return {name: str(schedule) for name, schedule in group[SCHEDULES].items()}


def restore(recipe: Recipe, group: Group, own: Mapping[str, Schedule]) -> None:
    """Makes a loaded group's schedules from their texts. own: those of the group before.

    Raises `InputError` for a function that no text describes, unless the group itself has it.
    """
    given = group.get(SCHEDULES, {})
    for name in own.keys() - given.keys():
        _tell(recipe, name, f"has no schedule in the checkpoint, so that {own[name]} ends here")
    found = {name: _made(recipe, name, text, own.get(name)) for name, text in given.items()}
    if found:
        group[SCHEDULES] = found
        if not group.get("capturable") and isinstance(group[COUNT], Tensor):
            group[COUNT] = int(group[COUNT])


def _made(recipe: Recipe, name: str, text: Any, own: Schedule | None) -> Schedule:
    if isinstance(text, Schedule):  # within one process
        return text
    if own is not None and str(own) == text:
        return own
    try:
        return parse(str(text))
    except InputError:
        raise InputError(
            f"The schedule of {name!r} in the checkpoint, {text}, is a function of its user's; make this"
            f" {class_name(recipe)} with it."
        ) from None


def _put(recipe: Recipe, group: Group) -> None:
    """Puts the values of the next step in their places."""
    for name, schedule in group[SCHEDULES].items():
        argument, place = _place(recipe, name)
        value = _value(recipe, name, schedule, group[COUNT])
        if isinstance(value, Tensor) and isinstance(before := _at(recipe, group, name), Tensor):
            before.copy_(value)  # which a captured step reads
        elif place is None:
            group[argument] = value
        else:
            group[argument] = (*group[argument][:place], value, *group[argument][place + 1 :])


def _value(recipe: Recipe, name: str, schedule: Schedule, count: Any) -> Any:
    """The value after `count` steps: a number in its range, or a tensor where the count is one. Raises `InputError`."""
    value = schedule(count)
    if isinstance(count, Tensor):
        return torch.as_tensor(value, dtype=torch.float64, device=count.device).clone()
    return recipe.hyperparameters[name].check(class_name(recipe), plain(value))


def _at(recipe: Recipe, group: Group, name: str) -> Any:
    argument, place = _place(recipe, name)
    return group[argument] if place is None else group[argument][place]


def _place(recipe: Recipe, name: str) -> tuple[str, int | None]:
    """The argument in which a hyperparameter stands, and its place in that if it is a tuple."""
    for argument, members in recipe.rule.tuples.items():
        if name in members and argument in spelled(recipe):
            return argument, members.index(name)
    return name, None


def _tell(recipe: Recipe, name: str, sentence: str) -> None:
    tell(f"{class_name(recipe)}, {name!r}", ScheduleEnded, f"{sentence}.")
