"""Schedules: a value for every step from 0, in closed form, with a text from which it can be made again."""

import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from thalweg.errors import InputError, first_line, shown
from thalweg.numerics import Value
from thalweg.options.ranges import POSITIVE
from thalweg.schedules.lengths import Horizon, is_length


@dataclass(frozen=True)
class Formula:
    """A function of the step and of fixed values. It is compared and pickled by these."""

    function: Callable[..., Value]
    values: Mapping[str, Any]

    def __call__(self, step: Value) -> Value:
        return self.function(step, **self.values)


@dataclass(frozen=True)
class Schedule:
    """The value of a hyperparameter at every step, counted from 0.

    Called with a step: a number, a float64 tensor or NumPy array, or a symbol. Whole steps are meant.

    name, arguments: the function that made it, and its arguments. base: the value that it scales, such as its peak;
    `None` for a *relative* schedule, which scales whatever rate is tuned and has values only after `with_base`.
    steps: from this step on the value stays; 0 if that is not known or never so. shape: its values, `None` while it is
    relative or not resolved. pending: the lengths that await `resolved`: argument → its text, or a tuple of them, and
    its least value. momentum: the momentum that belongs to it, as in a 1cycle.
    """

    name: str
    base: float | None
    steps: int
    arguments: Mapping[str, Any]
    shape: Callable[..., Value] | None = field(repr=False)
    pending: Mapping[str, tuple[Any, int]] = field(default_factory=dict, repr=False)
    momentum: "Schedule | None" = field(default=None, repr=False)

    def __call__(self, step: Value) -> Value:
        if self.shape is None:
            raise InputError(self._why_open())
        return self.shape(step)

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

    @property
    def parts(self) -> tuple["Schedule", ...]:
        """The schedules among its arguments."""
        values = [v for value in self.arguments.values() for v in (value if isinstance(value, tuple) else (value,))]
        return tuple(value for value in values if isinstance(value, Schedule))

    @property
    def is_resolved(self) -> bool:
        """Whether all its lengths are known in steps."""
        return not self.pending and all(part.is_resolved for part in self.parts)

    @property
    def is_closed(self) -> bool:
        """Whether it is a formula of ours throughout, which takes arrays too; a user's function may not."""
        return self.name in MAKERS and bool(self.arguments) and all(part.is_closed for part in self.parts)

    @property
    def is_relative(self) -> bool:
        """Whether its base is left out, so that it scales whatever rate is tuned."""
        return self.base is None

    @property
    def required_base(self) -> float:
        """The base. Raises `InputError` for a relative schedule."""
        if self.base is None:
            raise InputError(self._why_open())
        return self.base

    def resolved(self, *, steps: int | None = None, steps_per_epoch: int | None = None) -> "Schedule":
        """The schedule with its lengths in steps.

        Args:
            steps: of the whole run, from 1. steps_per_epoch: from 1; needed for lengths in epochs only.

        Raises:
            InputError: a length needs the argument that was left out, or lies out of its range in a run this short.
        """
        if self.is_resolved:
            return self
        return MAKERS[self.name].resolve(self, Horizon.of(steps, steps_per_epoch))

    def with_base(self, value: float) -> "Schedule":
        """The same schedule of another base, such as the rate that is tuned. value: above 0.

        Absolute values among its arguments, such as an end of 1e-5, stay; shares ("1%") go with the base.
        """
        base = POSITIVE.check(f"The base of {self.name}", value)
        if self.name in MAKERS and self.arguments:
            return MAKERS[self.name].rebase(self, base)
        return MAKERS["scale"].function(self, base / POSITIVE.check(f"The value of {self} at step 0", self.base))

    def remade(self, **changes: Any) -> "Schedule":
        """The schedule of the same function with some arguments changed."""
        return MAKERS[self.name].call({**self.arguments, **changes})

    def __str__(self) -> str:
        """The text form, which `parse` reads: "1cycle(0.1, rise=30%)"."""
        return self._written(text_name(self.name), str, lambda v: v if is_length(v) else repr(v))

    def __repr__(self) -> str:
        """The Python form: "one_cycle(0.1, rise='30%')"."""
        return self._written(self.name, repr, repr)

    def __hash__(self) -> int:
        return hash((self.name, tuple(self.arguments.items())))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickled and copied by its arguments; a user's function by itself."""
        return (_made_again, (self.name, dict(self.arguments))) if self.arguments else super().__reduce_ex__(protocol)

    def _written(self, name: str, nested: Callable[["Schedule"], str], plain: Callable[[Any], str]) -> str:
        def of(value: Any) -> str:
            if isinstance(value, tuple):
                return f"[{', '.join(map(of, value))}]"
            return nested(value) if isinstance(value, Schedule) else plain(value)

        if not self.arguments:  # a user's function
            return f"{name}()"
        return f"{name}({', '.join(MAKERS[self.name].written(self.arguments, of))})"

    def _why_open(self) -> str:
        if not self.is_resolved:
            return (
                f"The schedule {self} has lengths in epochs or in shares of a run: its values are those of"
                " resolved(steps=…, steps_per_epoch=…)."
            )
        return (
            f"The schedule {self} has no base of its own and scales the rate that is tuned: give it one as its first"
            " argument, or by with_base(rate)."
        )


def _resolve(schedule: Schedule, run: Horizon) -> Schedule:
    """Puts the pending lengths in steps."""

    def of(name: str, value: Any, low: int) -> Any:
        if isinstance(value, tuple):
            return tuple(of(name, v, low) for v in value)
        return run.length(f"{name!r} of {schedule.name}", value, low) if is_length(value) else value

    return schedule.remade(**{name: of(name, value, low) for name, (value, low) in schedule.pending.items()})


def _rebase(schedule: Schedule, base: float) -> Schedule:
    """Changes the first argument, which is the base."""
    return schedule.remade(**{next(iter(schedule.arguments)): base})


@dataclass(frozen=True)
class Maker:
    """A function that makes schedules. resolve, rebase: what `Schedule.resolved` and `with_base` do with them."""

    function: Callable[..., Schedule]
    resolve: Callable[[Schedule, Horizon], Schedule] = _resolve
    rebase: Callable[[Schedule, float], Schedule] = _rebase
    conventions: tuple[str, ...] = ()

    def call(self, arguments: Mapping[str, Any]) -> Schedule:
        """The schedule of arguments by name."""
        many = _several(self.function)
        named = {name: value for name, value in arguments.items() if name != many}
        return self.function(*arguments.get(many, ()), **named)

    def written(self, arguments: Mapping[str, Any], of: Callable[[Any], str]) -> list[str]:
        """The arguments that differ from their defaults, as they are written in a call."""
        found: list[str] = []
        for i, (name, parameter) in enumerate(_parameters(self.function).items()):
            value = arguments[name]
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                found += map(of, value)
            elif value is not parameter.default and value != parameter.default:
                found.append(of(value) if i == 0 else f"{name}={of(value)}")
        return found


MAKERS: dict[str, Maker] = {}
"""Name → how such a schedule is made."""

TEXT_NAMES = {"one_cycle": "1cycle", "one_cycle_momentum": "1cycle-momentum"}
"""Names that are no text names with "_" for "-"."""

M = TypeVar("M", bound=Callable[..., Schedule])


def maker(*conventions: str) -> Callable[[M], M]:
    """Lists a function among those that make schedules. Its first argument is the base.

    conventions: the libraries that have a schedule of its name.
    """

    def listed(function: M) -> M:
        MAKERS[function.__name__] = Maker(function, conventions=conventions)
        return function

    return listed


def text_name(name: str) -> str:
    """The name in text: "cosine-restarts" for `cosine_restarts`, "1cycle" for `one_cycle`."""
    return TEXT_NAMES.get(name) or (name.replace("_", "-") if name in MAKERS else name)


QUIET: ContextVar[bool] = ContextVar("QUIET", default=False)
"""Whether a schedule is made again of which everything was told when it was made, as by unpickling."""


def _made_again(name: str, arguments: Mapping[str, Any]) -> Schedule:
    token = QUIET.set(True)
    try:
        return MAKERS[name].call(arguments)
    finally:
        QUIET.reset(token)


@cache
def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _several(function: Callable[..., Any]) -> str:
    """The name of its arguments that take as many as there are; empty if it has none."""
    kinds = {name: parameter.kind for name, parameter in _parameters(function).items()}
    return next((name for name, kind in kinds.items() if kind is inspect.Parameter.VAR_POSITIONAL), "")


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
