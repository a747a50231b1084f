"""The values of a group's schedules for many steps at once: a schedule of ours is a function of the step alone.

A step then puts the next ones of a list. A function of a user's is asked step by step, as it may do anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.numerics.functions import rounded_as_numbers
from thalweg.optim.interop.signature import argument_names
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.row_table import Array
from thalweg.rules.hyperparameters import Hyperparameter
from thalweg.schedules import Schedule
from thalweg.schedules.schedule import Formula

SCHEDULES, COUNT = "schedules", "schedule_step"
"""A group's keys for its schedules, and for the number of steps that they have taken."""

AHEAD = 512  # steps that are computed at once: most of what it costs does not depend on their number
CALM = 16  # steps without a change from outside, before values are computed ahead again
MOST = 2**53  # steps that a float64 counts

Group = dict[str, Any]


class ValuesAhead:
    """The scheduled values of a group at steps in a row, all of them valid, and `place`, that of the current step.

    first: the step of place 0. numbers: hyperparameter → its values. objects: argument of the group → what stands there
    at each step: these numbers, or tuples that hold them. A hyperparameter that switches a part of the rule off at 0 is
    0 at all of these steps or at none.
    """

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        first: int,
        numbers: Mapping[str, list[float]],
        objects: Mapping[str, Sequence[Any]],
    ) -> None:
        self.first, self.numbers, self.objects = first, numbers, objects
        self.place = 0
        self.steps = min(map(len, objects.values()))
        self._schedules, self._count = dict(schedules), first
        self._objects, self._numbers = [*objects.items()], [*numbers.items()]

    def stands(self, group: Group) -> bool:
        """Whether the group has the very objects that were put there, and the same schedules."""
        count = group[COUNT]
        if count is not self._count and not (type(count) is int and count == self._count):
            return False
        if group.get("capturable") or group[SCHEDULES] != self._schedules:
            return False
        place = self.place
        for argument, objects in self._objects:  # a generator would take longer than all else
            if group[argument] is not objects[place]:
                break
        else:
            return True
        return False

    def advance(self, group: Group, shown: dict[str, Any]) -> bool:
        """Puts the values of the next step into the group and into `shown`, if it is among these; returns whether."""
        place = self.place + 1
        if place == self.steps:
            return False
        self._put(group, shown, place)
        return True

    def begin(self, group: Group, shown: dict[str, Any]) -> None:
        """Puts the values of the first step."""
        self._put(group, shown, 0)

    def _put(self, group: Group, shown: dict[str, Any], place: int) -> None:
        self.place = place
        group[COUNT] = self._count = self.first + place
        for argument, objects in self._objects:
            group[argument] = objects[place]
        for name, numbers in self._numbers:
            shown[name] = numbers[place]


def foresee(recipe: Recipe, group: Group, schedules: Mapping[str, Schedule]) -> ValuesAhead | None:
    """The values of a group's schedules from its current step on, up to the first invalid one.

    `None` where they are not to be computed ahead: tensors, a user's function, nothing valid after the current step.
    """
    first = group[COUNT]
    if type(first) is not int or group.get("capturable") or not schedules or first + AHEAD > MOST:
        return None
    if not all(map(_is_ours, schedules.values())):
        return None
    numbers, steps = dict[str, list[float]](), AHEAD
    for name, schedule in schedules.items():
        values = _values(schedule, first)
        if values is None:
            return None
        steps = min(steps, _alike(recipe.hyperparameters[name], values))
        numbers[name] = values.tolist()
    if steps < 2:
        return None
    numbers = {name: values[:steps] for name, values in numbers.items()}
    return ValuesAhead(schedules, first, numbers, _objects(recipe, group, numbers))


def place_of(recipe: Recipe, name: str) -> tuple[str, int | None]:
    """The argument in which a hyperparameter stands, and its place in that if it is a tuple."""
    for argument, members in recipe.rule.tuple_arguments.items():
        if name in members and argument in argument_names(recipe):
            return argument, members.index(name)
    return name, None


def _is_ours(schedule: Schedule) -> bool:
    """Whether it is a formula of ours throughout, which may be computed ahead."""
    shape = schedule.shape
    if type(schedule) is not Schedule or type(shape) is not Formula or not schedule.is_closed:
        return False
    values = [v for value in shape.values.values() for v in (value if isinstance(value, tuple) else (value,))]
    return all(_is_ours(part) for part in values if isinstance(part, Schedule))


def _values(schedule: Schedule, first: int) -> Array | None:
    """Its values at `AHEAD` steps, bit for bit those of `schedule.at`; `None` where anything overflows.

    Numbers overflow otherwise than arrays: some raise.
    """
    steps = np.arange(first, first + AHEAD, dtype=np.float64)
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"), rounded_as_numbers():
            found = schedule(steps)
    except (ArithmeticError, ValueError):
        return None
    return np.broadcast_to(np.asarray(found, np.float64), steps.shape)


def _alike(h: Hyperparameter, values: Array) -> int:
    """The number of values up to the first that is out of the range, or that switches a part of the rule on or off."""
    range_ = h.range
    if range_ is None:
        return 0
    if h.switch:
        changes = np.flatnonzero((values == 0) != (values[0] == 0))
        values = values[: changes[0]] if len(changes) else values
    if float(values.min()) in range_ and float(values.max()) in range_:
        return len(values)
    return next(i for i, value in enumerate(values.tolist()) if value not in range_)


def _objects(recipe: Recipe, group: Group, numbers: Mapping[str, list[float]]) -> dict[str, list[Any]]:
    """What is to stand in the group's arguments at each step."""
    found = dict[str, list[Any]]()
    for name, values in numbers.items():
        argument, place = place_of(recipe, name)
        if place is None:
            found[argument] = values
        else:
            before = found.get(argument) or [group[argument]] * len(values)
            found[argument] = [(*of[:place], value, *of[place + 1 :]) for of, value in zip(before, values, strict=True)]
    return found
