"""Hyperparameters of a param group, read at every step: a schedule or its user may have changed them in any way."""

from collections.abc import Mapping, Sequence
from operator import is_, is_not, itemgetter
from types import NoneType
from typing import Any

import numpy as np
from torch import Tensor

from thalweg.errors import InputError, shown
from thalweg.execution import dispatch
from thalweg.optim.interop.precision import PRECISION, Precision, check
from thalweg.optim.interop.signature import CONVENTION, argument_names, class_name
from thalweg.optim.stepping.readings_ahead import ReadingsAhead
from thalweg.optim.stepping.values_ahead import SCHEDULES, ValuesAhead
from thalweg.options.ranges import Range, as_number
from thalweg.recipes.catalogue import Recipe, in_sequence
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.trace import trace
from thalweg.rules.hyperparameters import Hyperparameter

OTHERS = {*PRECISION, CONVENTION}
"""Keys that are read in addition to hyperparameters."""

CONSTANT = {float, int, bool, str, NoneType}
"""Types whose values cannot change while they are the same object."""


class Reading:
    """The hyperparameters of one param group as plain numbers.

    values: by the rule's names. structure: the step variant that they need. transforms: whether it transforms whole
    gradients. shares: whether it reads a norm of all groups' gradients. precision: that of parameters and states.
    number: the group's index. ahead: the readings of coming steps, while nothing but its schedules changes them.
    """

    values: dict[str, float | bool]
    structure: StepVariant
    transforms = shares = False
    precision: Precision

    def __init__(self, recipe: Recipe, number: int) -> None:
        self._recipe, self._number = recipe, number
        self._names = (*argument_names(recipe), *PRECISION, CONVENTION)
        self._each = itemgetter(*self._names)
        self._given: tuple[Any, ...] = ()
        self._constant = False
        self._at = 0  # the place of the number that changed last
        self._range: Range | None = None  # in which it may change so
        self._contradiction = recipe.rule.contradiction
        self._read: dict[str, Any] = {}
        self.ahead: ReadingsAhead | None = None

    def update(self, group: Mapping[str, Any]) -> bool:
        """Reads them; returns whether any changed. Raises `InputError` for a value that is out of its range."""
        given = self._given_in(group)
        if self.ahead is not None and self._follows(given):
            return True
        if self._constant and all(map(is_, given, self._given)):
            return False
        if self._foresees(group, given) or self._takes_number(given):
            return True
        read = {
            name: plain(new)
            for name, new, old in zip(self._names, given, self._given or self._names, strict=True)
            if new is not old or type(new) not in CONSTANT
        }
        changed = {name: value for name, value in read.items() if name not in self._read or value != self._read[name]}
        if changed:
            self._take(changed)
            self._read |= changed
        self._given, self._constant = given, all(type(value) in CONSTANT or _constant(value) for value in given)
        return bool(changed)

    def _foresees(self, group: Mapping[str, Any], given: tuple[Any, ...]) -> bool:
        """Begins readings ahead, where the group's schedules have values ahead and nothing else has changed.

        Returns whether these serve this step. Not where another step variant is needed.
        """
        values: ValuesAhead | None = getattr(group.get(SCHEDULES), "ahead", None)
        if values is None or not self._constant:
            return False
        for name, new, old in zip(self._names, given, self._given, strict=True):
            if new is not old and name not in values.objects:
                return False
        if any(self._structural(name, numbers[0]) for name, numbers in values.numbers.items()):
            return False
        self.ahead = ReadingsAhead(values, self._names, given, self.values)
        return self._follows(given)

    def _follows(self, given: tuple[Any, ...]) -> bool:
        """Takes over what is read ahead, if that is what the group holds now; else ends it."""
        ahead = self.ahead
        assert ahead is not None
        if ahead.follow(given):
            values = ahead.values()
            if not self._contradiction(values):
                self._given, self.values = given, values
                return True
        taken = zip(self._names, self._given, strict=True)
        self._read |= {name: value for name, value in taken if name in ahead.of.objects}
        self.ahead = None
        return False

    def _takes_number(self, given: tuple[Any, ...]) -> bool:
        """Takes over a number that has changed, if nothing else has: what schedulers do at every step."""
        if not self._constant:
            return False
        at, before = self._at, self._given
        one = self._range is not None and sum(map(is_not, given, before)) == 1
        if not one or given[at] is before[at]:  # another than at the last change
            changed = [i for i, (new, old) in enumerate(zip(given, before, strict=True)) if new is not old]
            if len(changed) != 1:
                return False
            self._at = at = changed[0]
            h = self._recipe.hyperparameters.get(self._names[at])
            self._range = None if h is None or h.switch else h.range
        name, value = self._names[at], given[at]
        if type(value) is not float or self._range is None or value not in self._range:
            return False  # read in full, where a refusal is written
        values = {**self.values, name: value}
        if self._contradiction(values):
            return False
        self._given, self.values, self._read[name] = given, values, value
        return True

    def _given_in(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        try:
            given: tuple[Any, ...] = self._each(group)  # indexed as by torch, so that a group may compute its values
        except KeyError:
            return tuple(map(group.get, self._names))
        return given

    def _take(self, changed: Mapping[str, Any]) -> None:
        owner, first = class_name(self._recipe), not self._read
        values = {} if first else self.values.copy()
        if changed.get(CONVENTION, self._recipe.convention) != self._recipe.convention:
            raise InputError(
                f"This {owner} follows the convention {self._recipe.convention!r}, and a param group's is"
                f" {shown(changed[CONVENTION])}; make an optimizer with that convention for it."
            )
        given = self._recipe.split({name: value for name, value in changed.items() if name not in OTHERS})
        for name, value in given.items():
            values[name] = self._recipe.hyperparameters[name].check(owner, value)
        self._recipe.require_consistent(values, owner)
        anew = first or any(self._structural(name, values[name]) for name in given)
        structure = self._recipe.structure(values) if anew else self.structure
        precise = first or not PRECISION.keys().isdisjoint(changed)
        precision = Precision.of(check(owner, {**self._read, **changed}), self._number) if precise else self.precision
        self.values, self.structure, self.precision = values, structure, precision  # all, or none if one is refused
        if anew:
            self.transforms, self.shares = structure.transforms, bool(trace(structure).shared)

    def _structural(self, name: str, new: float | bool) -> bool:
        """Whether the new value needs another step variant than the old one."""
        h, old = self._recipe.hyperparameters[name], self.values[name]
        return old != new if h.is_flag else h.switch and (old == 0) != (new == 0)


def plain(value: Any) -> Any:
    """A hyperparameter's current value as Python numbers, a tuple for a sequence or an array.

    A tensor of one element is a number, whatever its dimensions.
    """
    if type(value) in CONSTANT:
        return value
    if isinstance(value, Tensor | np.ndarray | np.generic):
        numbers = value.tolist()
        while isinstance(numbers, list) and len(numbers) == 1:
            (numbers,) = numbers
        return tuple(numbers) if isinstance(numbers, list) else numbers
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(map(plain, value))
    number = as_number(value)
    return value if number is None else number


def kept(recipe: Recipe, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values as a param group stores them: NumPy's as Python numbers, sequences as tuples; tensors and lists stay."""
    return {name: _kept(value, several=name in recipe.rule.tuple_arguments) for name, value in given.items()}


def _kept(value: Any, *, several: bool) -> Any:
    if isinstance(value, list) and all(type(v) in CONSTANT for v in value):
        return value  # its user may change it in place
    if several and (members := in_sequence(value)):
        return tuple(
            _kept(member, several=False) for member in (plain(value) if isinstance(value, Tensor) else members)
        )
    return value if isinstance(value, Tensor) else plain(value)


def checked(recipe: Recipe, h: Hyperparameter, value: Any) -> Any:
    """A value for a traceable step: a tensor stays one, and is not read where that would synchronize or be traced.

    Raises `InputError` for a value that can be read and is out of its range.
    """
    if not isinstance(value, Tensor):
        return h.check(class_name(recipe), plain(value))
    if value.is_cpu and not dispatch.watched():
        h.check(class_name(recipe), plain(value.detach()))
    return value.double()


def _constant(value: Any) -> bool:
    return type(value) is tuple and all(type(v) in CONSTANT for v in value)
