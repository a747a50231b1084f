"""What a schedule is: a value for every step from 0, in closed form, with a text from which it can be made again."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from thalweg.errors import InputError, first_line, listed, shown
from thalweg.numerics import Value

MAKERS: dict[str, Callable[..., "Schedule"]] = {}
"""Name → the function that makes such a schedule from its arguments."""


@dataclass(frozen=True)
class Schedule:
    """The value of a hyperparameter at every step, counted from 0. Called with a step: a number or a float64 tensor.

    name, arguments: what it was made by. base: the value that it scales, such as its peak.
    steps: from this step on the value stays; 0 if that is not known.
    """

    name: str
    base: float
    steps: int
    arguments: Mapping[str, float]
    shape: Callable[..., Value] = field(repr=False)

    def __call__(self, step: Value) -> Value:
        return self.shape(step, **self.arguments)

    def at(self, step: Value) -> Value:
        """The value at a step. Raises `InputError`, with the schedule's name, where its function raises anything."""
        try:
            return self(step)
        except InputError:
            raise
        except Exception as error:
            of = f" at step {step}" if isinstance(step, int | float) else ""
            kind, why = type(error).__name__, first_line(error).removesuffix(".")
            raise InputError(f"The schedule {self} raised {kind}{of}{why and f': {why}'}.") from error

    def __str__(self) -> str:
        own = [f"{value!r}" if name == "peak" else f"{name}={value!r}" for name, value in self.arguments.items()]
        return f"{self.name}({', '.join(own)})"

    def __hash__(self) -> int:
        return hash((self.name, tuple(self.arguments.items())))


def as_schedule(value: Any) -> Schedule | None:
    """A schedule as it is, a function of the step as one; `None` for anything else.

    Raises `InputError` for a function that raises, or gives no number, at step 0.
    """
    if isinstance(value, Schedule):
        return value
    if callable(value) and not isinstance(value, type):
        name = getattr(value, "__qualname__", type(value).__name__)
        return Schedule(name, _number(Schedule(name, 0.0, 0, {}, value)), 0, {}, value)
    return None


def _number(schedule: Schedule) -> float:
    """The value at step 0. Raises `InputError` unless it is a number."""
    value = schedule.at(0)
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"A schedule's values must be numbers, and {schedule} is {shown(value)} at step 0.") from None


def parse(text: str) -> Schedule:
    """The schedule of a text such as "cosine(0.001, steps=1000, warmup=100)". Raises `InputError` if there is none."""
    try:
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        maker = MAKERS[call.func.id]
        given = [ast.literal_eval(argument) for argument in call.args]
        named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        return maker(*given, **named)
    except (SyntaxError, ValueError, AssertionError, KeyError, TypeError) as error:
        known = listed(sorted(MAKERS))
        raise InputError(f"{shown(text)} is no schedule: write one of {known} with numbers in parentheses.") from error
