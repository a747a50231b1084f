"""Row values of many steps at once, where they follow from the step and the hyperparameters: one line for all rows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import is_not, itemgetter
from typing import Any

import numpy as np

from thalweg.optim.stepping.readings_ahead import ReadingsAhead
from thalweg.recipes.catalogue import Values
from thalweg.recipes.row_line import Part, line, part_of
from thalweg.recipes.row_table import Array, table
from thalweg.recipes.stages import Stage

AHEAD = 128  # steps whose row values are computed at once: hyperparameters rarely change
PATIENCE = 64  # the most steps in a row with the schedules that are waited for before lines are computed for theirs
NO_LINES: Array = np.empty((0, 1, 0))


class RowsAhead:
    """The lines of a stage's table, step by step.

    While one hyperparameter alone changes, as a scheduler changes the rate at every step, what does not depend on it is
    computed ahead as well, and only the rest anew. Where schedules foretell the hyperparameters, whole lines are.
    """

    def __init__(self, stage: Stage, names: Sequence[str]) -> None:
        self._stage, self._names = stage, tuple(names)
        self._read: Callable[[Values], tuple[float, ...]] = (
            itemgetter(*names) if len(names) > 1 else lambda values: tuple(values[name] for name in names)
        )
        self._values: Values | None = None
        self._given: tuple[float, ...] = ()
        self._at = 0  # the place of the number that changed last
        self._part: Part | None = None  # what depends on it, while it changes
        self._changes = 0  # since lines were computed
        self._lines, self._rest, self._first = NO_LINES, list[list[float]](), 0.0
        self._readings: ReadingsAhead | None = None  # whose lines are in `_foreseen`, from the place `_start` on
        self._foreseen, self._start = NO_LINES, 0
        self._before, self._in_turn, self._wait = math.nan, 0, 1

    def line(self, t: float, values: Values, readings: ReadingsAhead | None = None) -> Array:
        """The line of step `t`, `[1, columns]`. readings: those that `values` are of, if schedules foretell them."""
        if readings is not None and self._follows(t, readings):
            row: Array = self._foreseen[readings.place - self._start]
            return row
        if values is not self._values and not self._takes(values):
            return self._anew(t)
        place = t - self._first
        if not (0 <= place < len(self._lines) and place.is_integer()):
            self._compute(t)
            place = 0.0
        row = self._lines[int(place)]
        part = self._part
        if part is None:
            return row
        try:
            found = part.function(self._given[self._at], *self._rest[int(place)])
        except (ArithmeticError, ValueError):  # such as a division by 0, which NumPy makes infinite
            return self._anew(t)
        for column, number in zip(part.columns, found, strict=True):
            row[0, column] = number
        return row

    def _follows(self, t: float, readings: ReadingsAhead) -> bool:
        """Whether the line of step `t` is known for these readings, or can be computed with those of later steps."""
        before = t - readings.first - readings.place  # steps taken before the schedule's first
        if before != self._before:  # these rows were left out of a step
            if self._readings is not None:
                self._wait = min(2 * self._wait, PATIENCE)
            self._before, self._in_turn, self._readings = before, 0, None
            return False
        if readings is self._readings:
            return True
        self._in_turn += 1
        if self._in_turn < self._wait or not t.is_integer():
            return False
        self._foresee(t, readings)
        return True

    def _foresee(self, t: float, readings: ReadingsAhead) -> None:
        """Computes the lines from step `t` on for the hyperparameters of these readings."""
        start, values = readings.place, readings.values()
        named: dict[str, Any] = {name: values[name] for name in self._names}
        numbers = {name: of[start:] for name, of in readings.numbers.items()}
        count = min(map(len, numbers.values()))
        named |= {name: np.array(of)[:, None] for name, of in numbers.items() if name in named}
        self._foreseen = table(self._stage, {**named, "t": np.arange(t, t + count)[:, None]})[0]
        self._readings, self._start = readings, start

    def _takes(self, values: Values) -> bool:
        """Takes over new values; returns whether lines that were computed ahead still serve."""
        given, before, at = self._read(values), self._given, self._at
        self._values, self._given, self._changes = values, given, self._changes + 1
        if self._part and sum(map(is_not, given, before)) == 1 and given[at] is not before[at]:
            return True
        changed = [i for i, (new, old) in enumerate(zip(given, before, strict=False)) if new is not old]
        self._lines, self._part = NO_LINES, None
        if before and len(changed) == 1:
            self._at, self._part = changed[0], part_of(self._stage, self._names[changed[0]])
        return False

    def _anew(self, t: float) -> Array:
        return line(self._stage, {**dict(zip(self._names, self._given, strict=True)), "t": t})[0]

    def _compute(self, t: float) -> None:
        """Computes the lines from step `t` on, and beside them what is left of a part."""
        if not self._changes:  # since the last time
            self._part = None
        rest = () if self._part is None else self._part.rest
        stage = replace(self._stage, columns=(*self._stage.columns, *rest))
        steps = np.arange(t, t + AHEAD)[:, None]
        whole = table(stage, {**dict(zip(self._names, self._given, strict=True)), "t": steps})[0]
        count = len(self._stage.columns)
        self._lines, self._rest = whole[..., :count], whole[:, 0, count:].tolist()
        self._first, self._changes = t, 0
