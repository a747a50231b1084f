"""Schedules of hyperparameters: their current values stand in the param groups, as torch's schedulers put them.

A group's schedules lie under `schedules`, by the rule's names of hyperparameters, and the number of steps taken under
`schedule_step`: a number, or for a capturable optimizer a tensor, as the hyperparameters are then.

After a step the group holds the values of the next one. A value that is invalid is refused when its own step is asked
for; until then the last valid one stays in the group. Values of our own closed forms are computed for many steps at
once (`values_ahead.py`), a user's function is asked step by step.

A schedule ends, with the warning `ScheduleEnded`, where somebody else sets its hyperparameter: another number, or for a
capturable optimizer another object in the tensor's place or another value written into the tensor (as torch's
schedulers do). While a CUDA graph is captured, or a step is traced, tensors are not read: what is written into one
ends nothing then. What is written between two replays of a graph holds for one replay, whose end puts the next value.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution import dispatch
from thalweg.execution.gpu import passes
from thalweg.optim.interop.signature import argument_names, class_name
from thalweg.optim.stepping.diagnostics import OptimizerWarning, tell
from thalweg.optim.stepping.reading import checked, plain
from thalweg.optim.stepping.values_ahead import CALM, COUNT, SCHEDULES, Group, ValuesAhead, foresee, place_of
from thalweg.options.ranges import as_number
from thalweg.recipes.catalogue import Recipe, in_sequence
from thalweg.schedules import Schedule, as_schedule, parse_schedule


class ScheduleEnded(OptimizerWarning):
    """A hyperparameter with a schedule was set by hand, or by a checkpoint without one: it keeps that value."""


class Schedules(dict[str, Schedule]):
    """A param group's schedules, by hyperparameter.

    shown: the value that was last put into the group for each. versions: those of values that are tensors, which tell
    whether anybody has written into one since. refused: hyperparameters whose value for the coming step is invalid.
    ahead: the values of the coming steps, if they are known and as long as all stands as it was put; never pickled.
    calm: steps since these were last found of no use.
    """

    ahead: ValuesAhead | None = None
    calm = CALM

    def __init__(self, found: Mapping[str, Schedule]) -> None:
        super().__init__(found)
        self.shown: dict[str, Any] = {}
        self.versions: dict[str, int | None] = {}
        self.refused: set[str] = set()

    def show(self, name: str, value: Any) -> None:
        """Records the value that was put into the group, for the coming step."""
        self.shown[name] = value
        self.versions[name] = _version(value)
        self.refused.discard(name)

    def written(self, name: str) -> bool:
        """Whether anybody may have written into the tensor that was put into the group."""
        version = _version(self.shown[name])
        return version is None or version != self.versions[name]

    def __getstate__(self) -> dict[str, Any]:
        versions = {name: None if self.written(name) else version for name, version in self.versions.items()}
        return {**self.__dict__, "versions": versions, "ahead": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Of a copy, whose tensors count their writes from 0."""
        self.__dict__.update(state)
        same = {name for name, version in self.versions.items() if version is not None}
        self.versions = {name: _version(x) if name in same else None for name, x in self.shown.items()}

    def end(self, name: str) -> None:
        """Removes a schedule."""
        del self[name]
        for of in (self.shown, self.versions):
            of.pop(name, None)
        self.refused.discard(name)
        self.ahead = None


def begin(recipe: Recipe, group: Group) -> None:
    """Moves the schedules among a new group's hyperparameters to their place, and puts first values in theirs.

    Raises `InputError` where a first value is out of its range; the group is then not to be used.
    """
    found: dict[str, Schedule] = {}
    for name in argument_names(recipe):
        members = recipe.rule.tuple_arguments.get(name, (name,))
        values = in_sequence(group.get(name)) if name in recipe.rule.tuple_arguments else (group.get(name),)
        found |= {m: s for m, v in zip(members, values, strict=False) if (s := as_schedule(v)) is not None}
    if found:
        group[SCHEDULES], group[COUNT] = Schedules(found), _count(group, 0)
        for name, schedule in found.items():
            _put(recipe, group, name, _value(recipe, name, schedule, group[COUNT]))
    elif SCHEDULES in group:  # a copy of another group's dict
        group.setdefault(COUNT, 0)
        of = {name: s if isinstance(s, Schedule) else parse_schedule(str(s)) for name, s in group[SCHEDULES].items()}
        group[SCHEDULES] = Schedules(of)
        convert(recipe, group)


def set_initial(recipe: Recipe, group: Group) -> None:
    """Puts in the hyperparameters that begin as another's value; under a schedule, its `base`."""
    for h in recipe.hyperparameters.values():
        if h.initially:
            now, schedule = group.get(f"initial_{h.initially}", group[h.initially]), group.get(SCHEDULES, {})
            first = schedule[h.initially].required_base if h.initially in schedule else now
            group.setdefault(h.name, float(plain(first)))


def realign(recipe: Recipe, group: Group) -> None:
    """After unpickling, whose equal numbers are other objects: takes the group's for those that were put there."""
    schedules: Schedules = group.get(SCHEDULES, Schedules({}))
    for name in schedules.refused:
        now, shown = _at(recipe, group, name), schedules.shown[name]
        if type(now) is type(shown) is float and now == shown:
            schedules.shown[name] = now


def begin_step(recipe: Recipe, group: Group) -> None:
    """Ends the schedules of hyperparameters that somebody has set since the last step, each with a warning.

    Raises `InputError` where the value of this step is out of its range, or the schedule's function raises.
    """
    schedules: Schedules = group[SCHEDULES]
    if schedules.ahead is not None:
        if schedules.ahead.stands(group):
            return
        schedules.ahead, schedules.calm = None, 0
    if isinstance(group[COUNT], Tensor) != bool(group.get("capturable")):
        convert(recipe, group)
    for name, schedule in [*schedules.items()]:
        now = _at(recipe, group, name)
        if not _stands(recipe, group, name, now):
            schedules.end(name)
            tell_end(recipe, name, f"was set to {_text(now)} beside its schedule {schedule}, which ends here")
        elif name in schedules.refused:
            _put(recipe, group, name, _value(recipe, name, schedule, group[COUNT]))


def advance(recipe: Recipe, group: Group, *, found_inf: Tensor | None = None) -> None:
    """Puts the values of the next step into the group; those of the same step again where `found_inf` is not 0."""
    count, schedules = group[COUNT], group[SCHEDULES]
    if schedules.ahead is not None and schedules.ahead.advance(group, schedules.shown):
        return
    if isinstance(count, Tensor):
        count.add_(1 if found_inf is None else (found_inf == 0).to(count))
    else:
        group[COUNT] = count + 1
    for name, schedule in schedules.items():
        try:
            value = _value(recipe, name, schedule, group[COUNT])
        except InputError:  # raised again when that step is asked for
            _put(recipe, group, name, _distinct(schedules.shown[name]))
            schedules.refused.add(name)
        else:
            _put(recipe, group, name, value)
    _foresee(recipe, group)


def convert(recipe: Recipe, group: Group) -> None:
    """Makes step count and values what the group needs: numbers, or tensors where it is capturable.

    A value that is not the schedule's stays as it is, so that the next step ends the schedule.
    """
    schedules: Schedules = group[SCHEDULES]
    schedules.ahead = None
    if group["params"]:
        passes.refuse_recording(group["params"][0].device)
    group[COUNT] = _count(group, group[COUNT])
    for name, schedule in schedules.items():
        now, refused = _at(recipe, group, name), False
        try:
            value = _value(recipe, name, schedule, group[COUNT])
        except InputError:
            value, refused = _before(recipe, group, name, now), True
        if value is now or _near(now, value, schedule):
            _put(recipe, group, name, value)
        else:
            schedules.show(name, value)
        if refused:
            schedules.refused.add(name)


def tell_end(recipe: Recipe, name: str, sentence: str) -> None:
    """Warns that a schedule ends."""
    tell(f"{class_name(recipe)}, {name!r}", ScheduleEnded, f"{sentence}.")


def _foresee(recipe: Recipe, group: Group) -> None:
    """Computes the values of the coming steps, where they may be and nobody has set anything lately."""
    schedules: Schedules = group[SCHEDULES]
    schedules.ahead, schedules.calm = None, schedules.calm + 1
    if schedules.calm <= CALM or schedules.refused:
        return
    found, schedules.calm = foresee(recipe, group, schedules), 0
    if found is not None and all(of[0] == schedules.shown[name] for name, of in found.numbers.items()):
        found.begin(group, schedules.shown)
        schedules.ahead, schedules.calm = found, CALM


def _count(group: Group, count: Any) -> Any:
    """A step count as the group needs it."""
    if not group.get("capturable"):
        return int(count)
    device = group["params"][0].device if group["params"] else None
    return torch.full((), float(count), dtype=torch.float64, device=device)


def _put(recipe: Recipe, group: Group, name: str, value: Any) -> None:
    """Puts a value in its place: into the tensor that is there, if it is a tensor."""
    schedules: Schedules = group[SCHEDULES]
    shown = schedules.shown.get(name)
    if isinstance(value, Tensor) and isinstance(shown, Tensor):
        value = shown.copy_(value)  # which a captured step reads
    else:
        argument, place = place_of(recipe, name)
        of = group[argument]
        group[argument] = value if place is None else (*of[:place], value, *of[place + 1 :])
    schedules.show(name, value)


def _stands(recipe: Recipe, group: Group, name: str, now: Any) -> bool:
    """Whether a hyperparameter is what was last put there, as far as known without waiting in a capture."""
    schedules: Schedules = group[SCHEDULES]
    shown, refused = schedules.shown[name], name in schedules.refused
    if now is not shown:  # an equal number stands for it, such as one that was pickled
        return not (refused or isinstance(now, Tensor) or isinstance(shown, Tensor)) and bool(now == shown)
    if not isinstance(now, Tensor) or not (schedules.written(name) and _readable(now)):
        return True
    return not refused and torch.equal(now, _value(recipe, name, schedules[name], group[COUNT]))


def _version(value: Any) -> int | None:
    """A tensor's count of writes; `None` where it has none."""
    return value._version if isinstance(value, Tensor) and not value.is_inference() else None


def _readable(value: Tensor) -> bool:
    return not (dispatch.watched() or passes.recording(value.device) or value.is_meta)


def _text(value: Any) -> str:
    return repr(plain(value)) if not isinstance(value, Tensor) or _readable(value) else "another tensor"


def _before(recipe: Recipe, group: Group, name: str, now: Any) -> Any:
    """The value of the step before; where that is invalid too, the current one."""
    try:
        return _distinct(_value(recipe, name, group[SCHEDULES][name], group[COUNT] - 1))
    except InputError:
        return now


def _distinct(value: Any) -> Any:
    """The same number as another object, so that an equal one that is set by hand is told from it."""
    return value + 0.0 if type(value) is float else value


def _near(now: Any, value: Any, schedule: Schedule) -> bool:
    """Whether a value is the schedule's, but for the rounding of another device or function of the system."""
    if isinstance(value, Tensor) and not _readable(value):
        return True
    number, within = as_number(plain(now)), 1e-14 * max(1.0, abs(schedule.required_base))
    return number is not None and math.isclose(number, plain(value), rel_tol=1e-6, abs_tol=within)


def _value(recipe: Recipe, name: str, schedule: Schedule, count: Any) -> Any:
    """The value after `count` steps: a number, or a tensor where the count is one.

    Raises `InputError` where the function raises, or for a value out of its range, unless it lies on a GPU.
    """
    value, h = schedule.at(count), recipe.hyperparameters[name]
    try:
        if isinstance(count, Tensor) and isinstance(value, Tensor):
            return checked(recipe, h, value.detach().to(count.device, copy=True))
        number = h.check(class_name(recipe), plain(value))
    except InputError as error:
        step = f" at step {int(count)}" if not isinstance(count, Tensor) or _readable(count) else ""
        raise InputError(f"{str(error).removesuffix('.')}{step} of its schedule {schedule}.") from None
    return torch.full_like(count, number) if isinstance(count, Tensor) else number


def _at(recipe: Recipe, group: Group, name: str) -> Any:
    argument, place = place_of(recipe, name)
    return group[argument] if place is None else group[argument][place]
