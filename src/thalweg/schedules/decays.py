"""Schedules that decay by a law: constant, in steps, exponential, as 1/t, as a power, as an inverse square root.

The laws without an end go on for ever; an `end` is a value that is not passed.
"""

import math
from collections.abc import Sequence
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.numerics import Value, floor, maximum, sqrt, where
from thalweg.numerics import power as to_power
from thalweg.options.ranges import POSITIVE, Range
from thalweg.schedules.annealing import Length, Level, warmed
from thalweg.schedules.arguments import Arguments
from thalweg.schedules.schedule import Schedule, maker

FACTOR = Range(0.0, 1.0, open_low=True)
SHRINKING = Range(0.0, 1.0)


@maker("torch", "optax", "hf")
def constant(
    rate: float | None = None, *, warmup: int | str = 0, factor: float | None = None, steps: Length = None,
    convention: str | None = None,
) -> Schedule:  # fmt: skip
    """The same rate at every step, after a linear warm-up.

    Args:
        rate: above 0; its base. warmup: from 0. factor, steps: the rate is multiplied by this factor, in (0, 1],
            before this step; 1 and 0 by default.
        convention: "torch" is ConstantLR, a third of the rate before step 5; "hf" warms up from 0; "optax".

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("constant", locals())
    base, warm = a.base("rate"), a.run_length("warmup", 0)
    if a.convention == "torch":
        a.refuse("it has a factor before its steps", "warmup")
    elif a.convention is not None:
        a.refuse("it is constant", "factor", "steps")
    share, until = (
        a.number("factor", FACTOR, a.default(1.0, torch=1 / 3)),
        a.run_length("steps", 0, a.default(0, torch=5)),
    )
    start = None if a.convention is None else 0.0
    return a.schedule(base, max(warm, until), _constant, rate=base, warmup=warm, factor=share, until=until, start=start)


@maker("torch", "timm")
def step(
    rate: float | None = None, *, every: int | str = "30%", factor: float | None = None, convention: str | None = None
) -> Schedule:
    """rate·factor^⌊t/every⌋, a staircase.

    Args:
        rate: above 0; its base. every: from 1. factor: in [0, 1]; 0.1 by default.
        convention: "torch" is StepLR; "timm" the same, with a factor of 1 by default.

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("step", locals())
    base, length = a.base("rate"), a.run_length("every", 1)
    share = a.number("factor", SHRINKING, a.default(0.1, timm=1.0))
    return a.schedule(base, 0, _exponential, rate=base, steps=length, factor=share, staircase=True)


@maker("torch", "keras", "optax", "timm")
def piecewise(
    rate: float | None = None, *, boundaries: Sequence[int | str] = ("50%", "75%"),
    factors: float | Sequence[float] | None = None, values: Sequence[float] | None = None,
    convention: str | None = None,
) -> Schedule:  # fmt: skip
    """Piecewise constant: another value from each boundary on.

    Args:
        rate: above 0; its base. boundaries: ascending; the step at a boundary has the new value.
        factors: in [0, ∞): the value is multiplied by it at each boundary, or by its own at each; 0.1 by default.
        values: in place of factors, the values before, between and after the boundaries, one more than these, the
            first above 0; beside a rate, in proportion to the first.
        convention: "torch" is MultiStepLR; "optax" the same; "keras" changes one step after a boundary; "timm" one
            step before, with a factor of 1 by default.

    Raises:
        InputError: a value out of its range, boundaries that do not ascend, or another number of factors or values.
    """
    a = Arguments("piecewise", locals())
    bounds = a.boundaries("boundaries")
    levels = _levels(a, len(bounds))
    base = a.base("rate") if rate is not None or values is None else levels[0]
    shift = a.default(0, keras=1, timm=-1)
    last = bounds[-1] + shift
    scaled = tuple(levels) if rate is None and values is not None else tuple(base * v / levels[0] for v in levels)
    return a.schedule(base, max(last, 0), _piecewise, levels=scaled, at=tuple(b + shift for b in bounds))


def _levels(a: Arguments, count: int) -> list[float]:
    """The values between boundaries: as given, or by factors, of a rate of 1."""
    any_, factors, values = Range(0.0), a.given["factors"], a.given["values"]
    if values is not None:
        if factors is not None:
            raise InputError("piecewise takes either factors or values, got both.")
        found = _numbers(a, "values", values, count + 1, any_)
        POSITIVE.check("The first of the 'values' of piecewise", found[0])
        return found
    default = a.default(0.1, timm=1.0)
    if factors is None or not isinstance(factors, list | tuple):
        each = [any_.check("The 'factors' of piecewise", default if factors is None else factors)] * count
    else:
        each = _numbers(a, "factors", factors, count, any_)
    return [math.prod(each[:i]) for i in range(count + 1)]


def _numbers(a: Arguments, name: str, given: Any, count: int, each: Range) -> list[float]:
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != count:
        raise InputError(f"The {name!r} of piecewise must be a list of {count} numbers here, got {shown(given)}.")
    found = [each.check(f"Each of the {name!r} of piecewise", value) for value in given]
    a.given[name] = tuple(found)
    return found


@maker("torch", "keras", "optax")
def exponential(
    rate: float | None = None, *, steps: Length = None, factor: float | None = None, staircase: bool = False,
    begin: int | str = 0, end: Level = None, convention: str | None = None,
) -> Schedule:  # fmt: skip
    """rate·factor^(t/steps): by default a tenth over the whole run.

    Args:
        rate: above 0; its base. steps: from 1. factor: in (0, 1]. staircase: ⌊t/steps⌋ in the exponent.
        begin: the step from which it decays. end: the least value, in [0, rate]; 0 by default.
        convention: "torch" is ExponentialLR: one step, and a factor that must be given; so in "keras" and "optax".

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("exponential", locals())
    if a.convention is not None:
        a.need("factor")
    if a.convention in ("torch", "keras"):
        a.refuse("leave it out", "begin", "end")
    base, length = a.base("rate"), a.run_length("steps", 1, a.default("100%", torch=1))
    share, stairs = a.number("factor", FACTOR, 0.1), a.flag("staircase")
    first, low = a.run_length("begin", 0), a.level("end", base)
    return a.schedule(
        base, 0, _exponential, rate=base, steps=length, factor=share, staircase=stairs, begin=first, end=low
    )


@maker("keras")
def inverse_time(
    rate: float | None = None, *, steps: Length = None, decay: float = 1.0, staircase: bool = False,
    convention: str | None = None,
) -> Schedule:  # fmt: skip
    """rate/(1 + decay·t/steps): by default half the rate at the end of the run.

    Args:
        rate: above 0; its base. steps: from 1. decay: above 0. staircase: ⌊t/steps⌋ for t/steps.
        convention: "keras" is InverseTimeDecay, which is the same.

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("inverse_time", locals())
    base, length = a.base("rate"), a.run_length("steps", 1)
    by, stairs = a.number("decay", POSITIVE), a.flag("staircase")
    return a.schedule(base, 0, _power, rate=base, steps=length, decay=by, staircase=stairs)


@maker()
def power(rate: float | None = None, *, steps: Length = None, exponent: float = 1.0) -> Schedule:
    """rate/(1 + t/steps)^exponent, power scheduling.

    Args:
        rate: above 0; its base. steps: from 1: with an exponent of 1 the rate is halved there; the run by default.
        exponent: above 0.

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("power", locals())
    base, length, exponent = a.base("rate"), a.run_length("steps", 1), a.number("exponent", POSITIVE)
    return a.schedule(base, 0, _power, rate=base, steps=length, exponent=exponent)


@maker("hf")
def inverse_sqrt(
    peak: float | None = None, *, warmup: int | str | None = None, timescale: int | str | None = None,
    convention: str | None = None,
) -> Schedule:  # fmt: skip
    """The inverse square root of the step after a linear warm-up, "Noam": peak·min(n/warmup, √(warmup/n)), n = t + 1.

    Vaswani et al. 2017, arXiv:1706.03762, which writes the peak as (width·warmup)^-½.

    Args:
        peak: above 0; its base. warmup: from 0; 10% of the run by default. timescale: s in √(s/(n - warmup + s)), from
            1; by default the warm-up, or 10,000 without one.
        convention: "hf" warms up from 0 and counts n from 0.

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("inverse_sqrt", locals())
    top, warm = a.base("peak"), a.run_length("warmup", 0, a.default("10%", hf=0))
    scale = a.run_length("timescale", 1, "100%") if timescale is not None else (warm or 10_000.0)
    start, first = (0.0, 0.0) if a.convention else (None, 1.0)
    return a.schedule(top, 0, _inverse_sqrt, peak=top, warmup=warm, scale=scale, start=start, first=first)


def _constant(t: Value, *, rate: float, warmup: float, factor: float, until: float, start: float | None) -> Value:
    after = rate + 0.0 * t if until == 0 else where(t < until, factor * rate, rate + 0.0 * t)
    return warmed(t, warmup, rate, start, after)


def _piecewise(t: Value, *, levels: Sequence[float], at: Sequence[float]) -> Value:
    found = levels[0] + 0.0 * t
    for bound, level in zip(at, levels[1:], strict=True):
        found = where(t >= bound, level, found)
    return found


def _exponential(
    t: Value, *, rate: float, steps: float, factor: float, staircase: bool, begin: float = 0.0, end: float = 0.0
) -> Value:
    progress = maximum(t - begin, 0.0) / steps
    value = rate * to_power(factor, floor(progress) if staircase else progress)
    return maximum(value, end) if end else value


def _power(
    t: Value, *, rate: float, steps: float, decay: float = 1.0, exponent: float = 1.0, staircase: bool = False
) -> Value:
    progress = t / steps
    under = 1.0 + decay * (floor(progress) if staircase else progress)
    return rate / (under if exponent == 1.0 else to_power(under, exponent))


def _inverse_sqrt(t: Value, *, peak: float, warmup: float, scale: float, start: float | None, first: float) -> Value:
    since = maximum(t + (first - warmup), 0.0)
    return warmed(t, warmup, peak, start, peak * sqrt(scale / (since + scale)))
