"""The arguments of a schedule, read one after the other, each checked: an `InputError` names argument and range."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thalweg.errors import InputError, listed, shown
from thalweg.numerics import Value
from thalweg.options.ranges import POSITIVE, Range, whole
from thalweg.schedules import traps
from thalweg.schedules.lengths import epochs_of, nearest, share_of
from thalweg.schedules.schedule import MAKERS, Formula, Schedule

OPEN = math.nan
"""Stands for a base that is left out and for a length that is not known yet, so that all the rest is checked."""


class Arguments:
    """The arguments of one schedule.

    name: of the schedule. given: its arguments by name, in order. conventions: of one that is not in `MAKERS`.
    """

    def __init__(self, name: str, given: Mapping[str, Any], conventions: Sequence[str] | None = None) -> None:
        self.name, self.given = name, dict(given)
        self.pending: dict[str, tuple[Any, int]] = {}
        self.convention: str | None = given.get("convention")
        if conventions is None:
            conventions = MAKERS[name].conventions
        if self.convention is not None and not _is_one_of(self.convention, conventions):
            raise InputError(
                f"The 'convention' of {name} must be {_either(conventions)}, got {shown(self.convention)}."
            )

    def default(self, own: Any, **by_convention: Any) -> Any:
        """A default: `own`, or that of the convention's library."""
        return by_convention.get(self.convention or "", own)

    def need(self, *names: str) -> None:
        """Raises `InputError` where an argument that the convention's library has no default for is left out."""
        for name in names:
            if self.given[name] is None:
                raise InputError(f"{self._called} needs {name!r}.")

    def refuse(self, instead: str, *names: str) -> None:
        """Raises `InputError` for an argument that the convention's library does not have. instead: what to do."""
        for name in names:
            value = self.given[name]
            if value is not None and not (isinstance(value, bool | int | float) and value == 0):
                raise InputError(f"{self._called} has no {name!r}: {instead}.")

    def base(self, name: str) -> float:
        """The base: above 0; `OPEN` if it is left out."""
        if self.given[name] is None:
            return OPEN
        self.given[name] = value = POSITIVE.check(self._of(name), self.given[name])
        return value

    def number(self, name: str, range_: Range, default: float | None = None) -> float:
        """A number in a range."""
        value = range_.check(self._of(name), default if self.given[name] is None else self.given[name])
        if self.given[name] is not None:
            self.given[name] = value
        return value

    def flag(self, name: str) -> bool:
        """True or False."""
        if not isinstance(self.given[name], bool):
            raise InputError(f"{self._of(name)} must be True or False, got {shown(self.given[name])}.")
        return bool(self.given[name])

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of some words."""
        value = default if self.given[name] is None else self.given[name]
        if not _is_one_of(value, choices):
            raise InputError(f"{self._of(name)} must be {_either(choices)}, got {shown(value)}.")
        return str(value)

    def level(self, name: str, base: float, default: float | str = 0.0, *, below: bool = False) -> float:
        """A value in [0, base], or a share of the base such as "10%". below: whether the base itself is excluded."""
        given = self.given[name]
        value = default if given is None else given
        share = share_of(self._of(name), value)
        if share is not None:
            if below and share == 1:
                raise InputError(f"{self._of(name)} must be a share below 100%, got {shown(value)}.")
            return share * base
        high = math.inf if math.isnan(base) else base
        found = Range(0.0, high, open_high=below).check(self._of(name), value)
        if given is not None:
            self.given[name] = found
        return found

    def run_length(self, name: str, low: int, default: int | str | None = "100%") -> float:
        """A length in steps, in epochs, or in shares of the run. default: that of an argument that is left out."""
        value = default if self.given[name] is None else self.given[name]
        if share_of(self._of(name), value) is not None or epochs_of(value) is not None:
            self.pending[name] = (value, low)
            return OPEN
        return self._whole(name, value, low, math.inf)

    def length(self, name: str, low: int, of: float, high: float, default: int | str | None = None) -> float:
        """A length in steps, in epochs, or in shares of another. high: its largest value; `OPEN` where not known.

        A share that rounds to a value outside [low, high] is the nearest inside.
        """
        value = default if self.given[name] is None else self.given[name]
        share = share_of(self._of(name), value)
        if share is not None:
            return OPEN if math.isnan(of) else nearest(share * of, low, high)
        if epochs_of(value) is not None:
            self.pending[name] = (value, low)
            return OPEN
        return self._whole(name, value, low, math.inf if math.isnan(high) else high)

    def boundaries(self, name: str) -> tuple[float, ...]:
        """Steps, epochs or shares of the run that ascend (two may be equal); all `OPEN` unless all are steps."""
        values = self.given[name]
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise InputError(f"{self._of(name)} must be a list of steps, epochs or shares, got {shown(values)}.")
        of = self._of(name)
        shares = [share_of(of, v) for v in values]
        if all(share is None and epochs_of(v) is None for share, v in zip(shares, values, strict=True)):
            found = tuple(whole(0).check(of, v) for v in values)
            self._require_ascending(name, found)
            self.given[name] = found
            return found
        by_kind = [shares, [epochs_of(v) for v in values], [None if isinstance(v, str) else v for v in values]]
        for kind in by_kind:
            self._require_ascending(name, [v for v in kind if v is not None])
        self.given[name] = tuple(values)
        self.pending[name] = (tuple(values), 0)
        return (OPEN,) * len(values)

    def require_shares(self, *names: str) -> None:
        """Raises `InputError` where the shares among these arguments sum to over 100%."""
        shares = {name: share_of(self._of(name), self.given[name]) for name in names}
        known = {name: share for name, share in shares.items() if share is not None}
        if sum(known.values()) > 1 + 1e-12:
            each = listed([f"{name}={self.given[name]}" for name in known])
            raise InputError(f"The shares of {self.name} sum to over 100%: {each}; lower one of them.")

    def schedule(
        self,
        base: float,
        steps: float,
        function: Callable[..., Value],
        momentum: Schedule | None = None,
        /,
        **values: Any,
    ) -> Schedule:
        """The schedule of a function of the step and of `values`; open where base or lengths are.

        steps: from this step on its value stays; 0 if it never does.
        """
        waits = bool(self.pending) or math.isnan(steps)
        shape = None if waits or math.isnan(base) else Formula(function, values)
        made = Schedule(
            self.name, None if math.isnan(base) else base, 0 if waits else int(steps), self.given, shape,
            self.pending, momentum,
        )  # fmt: skip
        if shape is not None and self.convention is not None:
            traps.tell(made, self.convention)
        return made

    def _whole(self, name: str, value: Any, low: int, high: float) -> float:
        if isinstance(value, str) or value is None:
            text = f"a whole number of steps, a share as in '5%' or epochs as in '3 epochs', got {shown(value)}"
            raise InputError(f"{self._of(name)} must be {text}.")
        found = whole(low, int(high) if math.isfinite(high) else high).check(self._of(name), value)
        if self.given[name] is not None:
            self.given[name] = found
        return found

    def _require_ascending(self, name: str, values: Sequence[Any]) -> None:
        if list(values) != sorted(values):
            raise InputError(f"{self._of(name)} must ascend, got {shown(list(self.given[name]))}.")

    def _of(self, name: str) -> str:
        return f"The {name!r} of {self.name}"

    @property
    def _called(self) -> str:
        return f"{self.name} as in {self.convention}" if self.convention else self.name


def _is_one_of(value: Any, choices: Sequence[str]) -> bool:
    return isinstance(value, str) and value in choices


def _either(choices: Sequence[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
