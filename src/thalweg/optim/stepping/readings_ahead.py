"""Hyperparameters of a param group at the steps whose scheduled values are known."""

from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any

from thalweg.optim.stepping.values_ahead import ValuesAhead


class ReadingsAhead:
    """What a group reads at steps in a row between which nothing changes but its schedules' values.

    of: these values. names, given: the arguments, and what the group holds at one of these steps. fixed: the
    hyperparameters then. first, numbers: those of `of`. place: of the step that was read last.
    """

    def __init__(
        self, of: ValuesAhead, names: Sequence[str], given: Sequence[Any], fixed: Mapping[str, float | bool]
    ) -> None:
        self.of, self.first, self.numbers, self.place = of, of.first, of.numbers, of.place
        self._given, self._fixed = [*given], fixed
        self._scheduled = [(i, of.objects[name]) for i, name in enumerate(names) if name in of.objects]

    def follow(self, given: Sequence[Any]) -> bool:
        """Goes to the current step of the values; returns whether that is what the group holds, object by object."""
        self.place = place = self.of.place
        expected = self._given
        for i, objects in self._scheduled:
            expected[i] = objects[place]
        return all(map(is_, given, expected))

    def values(self) -> dict[str, float | bool]:
        """The hyperparameters at the current step."""
        place, found = self.place, {**self._fixed}
        for name, numbers in self.numbers.items():
            found[name] = numbers[place]
        return found
