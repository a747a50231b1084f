"""Performance scheduling: the rate is cut where a metric stops improving. It follows the metric, not the step."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.options.ranges import POSITIVE, Range, as_number, whole
from thalweg.schedules.arguments import Arguments

MODES = ("relative", "absolute")
CONVENTIONS = ("torch", "keras", "optax", "hf")
FROM_TORCH = ("torch", "hf")


@dataclass(frozen=True)
class PlateauState:
    """The state of a performance schedule: plain numbers, which `dataclasses.asdict` saves.

    rate: the current one. best: the best metric so far, `None` before the first. bad: measurements in a row without
    improvement. waiting: measurements of the cooldown that are left. cuts: the number of cuts so far.
    """

    rate: float
    best: float | None = None
    bad: int = 0
    waiting: int = 0
    cuts: int = 0


@dataclass(frozen=True)
class Performance:
    """Reduces the rate on a plateau: `start()` is the first state, `advance(state, metric)` the next one; both pure.

    Made by `performance`, whose arguments these are. rate: `None` for a relative schedule.
    """

    rate: float | None = None
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    mode: str = "relative"
    cooldown: int = 0
    minimum: float = 0.0
    higher_is_better: bool = False
    convention: str | None = None

    def __str__(self) -> str:
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        rate = [repr(given.pop("rate"))] if self.rate is not None else []
        return f"performance({', '.join([*rate, *(f'{name}={value!r}' for name, value in given.items())])})"

    def with_base(self, value: float) -> "Performance":
        """The same from another rate, above 0."""
        found = replace(self, rate=POSITIVE.check("The base of performance", value))
        Range(0.0, found.rate or 0.0).check("The 'minimum' of performance", self.minimum)
        return found

    def start(self) -> PlateauState:
        """The state before the first metric. Raises `InputError` for a relative schedule."""
        if self.rate is None:
            raise InputError(
                f"The schedule {self} has no base of its own and scales the rate that is tuned: give it one as its"
                " first argument, or by with_base(rate)."
            )
        return PlateauState(self.rate)

    def advance(self, state: PlateauState, metric: Any) -> PlateauState:
        """The state after one more metric. NaN is no improvement. Raises `InputError` for what is no number."""
        value = as_number(metric)
        if value is None:
            raise InputError(f"performance follows a metric that is a number, got {shown(metric)}.")
        better, waiting = self._is_better(value, state.best), max(state.waiting - 1, 0)
        # Keras counts the cooldown down before it looks, so that its last measurement is the first that may be bad.
        resting = waiting if self.convention == "keras" else state.waiting
        bad = 0 if better or resting else 1 + (0 if state.waiting else state.bad)
        after = replace(state, best=value if better else state.best, bad=bad, waiting=waiting)
        return self._cut(after) if bad >= self.patience + (self.convention in FROM_TORCH) else after

    def _cut(self, state: PlateauState) -> PlateauState:
        if self.convention == "keras" and state.rate <= self.minimum:
            return state  # which goes on counting
        rate = max(state.rate * self.factor, self.minimum)
        rested = replace(state, bad=0, waiting=self.cooldown)
        smallest = 1e-8 if self.convention in FROM_TORCH else 0.0
        return replace(rested, rate=rate, cuts=state.cuts + 1) if state.rate - rate > smallest else rested

    def _is_better(self, value: float, best: float | None) -> bool:
        if best is None:
            best = -math.inf if self.higher_is_better else math.inf
        by = self.threshold
        if self.mode == "relative" and self.convention is not None:  # with the sign of the metric
            bound = best * (1.0 + by if self.higher_is_better else 1.0 - by)
        else:
            margin = by if self.mode == "absolute" or math.isinf(best) else by * abs(best)
            bound = best + margin if self.higher_is_better else best - margin
        return value > bound if self.higher_is_better else value < bound


def performance(
    rate: float | None = None, *, factor: float = 0.1, patience: int = 10, threshold: float = 1e-4,
    mode: str | None = None, cooldown: int = 0, minimum: float = 0.0, higher_is_better: bool = False,
    convention: str | None = None,
) -> Performance:  # fmt: skip
    """Multiplies the rate by `factor` after `patience` measurements without improvement.

    Args:
        rate: above 0; its base. factor: in (0, 1). patience: from 1. threshold: in [0, 1] in mode "relative", the
            default: an improvement is one by more than this share of the size of the best; in mode "absolute", by more
            than this. cooldown: measurements after a cut that do not count. minimum: in [0, rate].
        convention: "torch" and "hf" cut after patience + 1 measurements, patience from 0, and skip cuts under 1e-8;
            "keras" has an absolute threshold, and its cooldown is one shorter; "optax" is for metrics that fall. All
            take the share of a negative metric with its sign, so that being as good as the best improves it.

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("performance", locals(), CONVENTIONS)
    base, kind = a.base("rate"), a.choice("mode", MODES, a.default("relative", keras="absolute"))
    higher = a.flag("higher_is_better")
    if convention == "optax":
        a.refuse("negate the metric", "higher_is_better")
    return Performance(
        rate=a.given["rate"],
        factor=a.number("factor", Range(0.0, 1.0, open_low=True, open_high=True)),
        patience=int(a.number("patience", whole(0 if convention in FROM_TORCH else 1))),
        threshold=a.number("threshold", Range(0.0, 1.0 if kind == "relative" else math.inf)),
        mode=kind,
        cooldown=int(a.number("cooldown", whole(0))),
        minimum=a.level("minimum", base),
        higher_is_better=higher,
        convention=convention,
    )
