"""Schedules from a peak to an end: linear, cosine and polynomial, after a linear warm-up.

Warm-up is (t + 1)/warmup of the peak: no step has a rate of 0, and step `warmup` has the peak, as has the one before.
Libraries count t/warmup from 0: so does any of these with a `start`.
"""

import math

from thalweg.numerics import Value, clip, cos, floor, maximum, minimum, power, where
from thalweg.options.ranges import POSITIVE
from thalweg.schedules.arguments import Arguments
from thalweg.schedules.schedule import Schedule, maker

PI = 3.141592653589793
Level = float | str | None
Length = int | str | None


@maker("torch", "keras", "optax", "hf", "timm")
def cosine(
    peak: float | None = None, *, steps: Length = None, warmup: int | str = 0, start: Level = None, end: Level = None,
    convention: str | None = None,
) -> Schedule:  # fmt: skip
    """Half a cosine from `peak` at step `warmup` to `end` at step `steps`, after a linear warm-up.

    end + (peak - end)·½(1 + cos π·(t - warmup)/(steps - warmup)). Loshchilov & Hutter 2016, arXiv:1608.03983.

    Args:
        peak: above 0; its base. steps: from 1, warm-up included; the whole run by default. warmup: below `steps`.
        start: the value at step 0, in [0, peak]; by default the warm-up is (t + 1)/warmup. end: in [0, peak]; 0.
        convention: "torch" has no warm-up and rises again past its end; "hf" warms up from 0 and rises again; "optax"
            warms up from 0; "keras" too, and its `steps` begin after the warm-up; "timm" enters the cosine at step
            `warmup`, not at its top, so that it falls from the peak at once.

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("cosine", locals())
    top, total, warm, low = _common(a)
    if a.convention == "torch":
        a.refuse("wrap it in warmup(…)", "warmup", "start")
    first = a.level("start", top, a.default(0.0)) if a.convention or a.given["start"] is not None else None
    begin = 0.0 if a.convention == "timm" else warm
    finish = total + warm if a.convention == "keras" else total
    rises = a.convention in ("torch", "hf")
    return a.schedule(
        top, finish, _cosine, peak=top, begin=begin, steps=finish, warmup=warm, start=first, end=low, rises=rises
    )


@maker("torch", "optax", "hf")
def linear(
    peak: float | None = None, *, steps: Length = None, warmup: int | str = 0, start: Level = None, end: Level = None,
    convention: str | None = None,
) -> Schedule:  # fmt: skip
    """A line from `peak` at step `warmup` to `end` at step `steps`, after a linear warm-up.

    Args:
        peak, steps, warmup, start, end: as those of `cosine`.
        convention: "torch" is LinearLR, which rises: from `start` (⅓ of the peak) to `end` (the peak) in `steps` (5);
            "optax" has no warm-up; "hf" warms up from 0.

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("linear", locals())
    if a.convention == "torch":
        a.refuse("it is a warm-up itself", "warmup")
        top, total = a.base("peak"), a.run_length("steps", 1, 5)
        ends = {name: a.level(name, top, share) for name, share in (("start", f"{100 / 3!r}%"), ("end", "100%"))}
        return a.schedule(top, total, _ramp, steps=total, **ends)
    top, total, warm, low = _common(a)
    if a.convention == "optax":
        a.refuse("wrap it in warmup(…)", "warmup", "start")
    first = a.level("start", top) if a.convention or a.given["start"] is not None else None
    return a.schedule(top, total, _polynomial, peak=top, begin=warm, steps=total, warmup=warm, start=first, end=low)


@maker("torch", "keras", "optax", "hf", "timm")
def polynomial(
    peak: float | None = None, *, steps: Length = None, power: float | None = None, warmup: int | str = 0,
    start: Level = None, end: Level = None, cycle: bool = False, convention: str | None = None,
) -> Schedule:  # fmt: skip
    """(1 - progress)^power of the way from `end` to `peak`, after a linear warm-up.

    Args:
        peak, steps, warmup, start, end: as those of `cosine`. power: above 0; 1, a line, by default.
        cycle: begin anew, from the value at the step as a share of the next multiple of `steps`, as Keras does.
        convention: "torch" lasts 5 steps; "keras" ends at 1e-4; "hf" warms up from 0 and ends at 1e-7; "timm" has a
            power of ½, and enters it at step `warmup`, not at its top. torch, Keras and Optax have no warm-up.

    Raises:
        InputError: a value out of its range, such as a peak below the end that the convention has by default.
    """
    a = Arguments("polynomial", locals())
    if a.convention in ("torch", "keras", "optax"):
        a.refuse("wrap it in warmup(…)", "warmup", "start")
    cycles = a.flag("cycle")
    if cycles:
        a.refuse("a cycle begins without one", "warmup", "start")
    top, total, warm, low = _common(a, steps=a.default("100%", torch=5), end=a.default(0.0, keras=1e-4, hf=1e-7))
    exponent = a.number("power", POSITIVE, a.default(1.0, timm=0.5))
    first = a.level("start", top) if a.convention or a.given["start"] is not None else None
    begin = 0.0 if a.convention == "timm" else warm
    return a.schedule(
        top, 0 if cycles else total, _polynomial, peak=top, begin=begin, steps=total, warmup=warm, start=first, end=low,
        exponent=exponent, cycle=cycles,
    )  # fmt: skip


def _common(a: Arguments, *, steps: int | str = "100%", end: float | str = 0.0) -> tuple[float, float, float, float]:
    """(peak, steps, warmup, end), checked."""
    top = a.base("peak")
    total = a.run_length("steps", 1, steps)
    most = math.inf if a.convention == "keras" else total - 1
    return top, total, a.length("warmup", 0, total, most), a.level("end", top, end)


def _cosine(
    t: Value, *, peak: float, begin: float, steps: float, warmup: float, start: float | None, end: float, rises: bool
) -> Value:
    progress = maximum(t - begin, 0.0) / (steps - begin)
    share = 0.5 * (1.0 + cos(PI * (progress if rises else minimum(progress, 1.0))))
    return warmed(t, warmup, peak, start, end + (peak - end) * share)


def _polynomial(
    t: Value, *, peak: float, begin: float, steps: float, warmup: float, start: float | None, end: float,
    exponent: float = 1.0, cycle: bool = False,
) -> Value:  # fmt: skip
    length: Value = steps - begin
    if cycle:
        length = length * maximum(-floor(-t / steps), 1.0)
    left = 1.0 - clip((t - begin) / length, 0.0, 1.0)
    share = left if exponent == 1.0 else power(left, exponent)
    return warmed(t, warmup, peak, start, end + (peak - end) * share)


def _ramp(t: Value, *, start: float, end: float, steps: float) -> Value:
    return start + (end - start) * minimum(t / steps, 1.0)


def warmed(t: Value, warmup: float, peak: Value, start: float | None, after: Value) -> Value:
    """A linear warm-up to `peak`, then `after`. start: the value at step 0; by default peak/warmup."""
    if warmup == 0:
        return after
    if start is None:
        return where(t < warmup, minimum((t + 1.0) / warmup, 1.0) * peak, after)
    return where(t < warmup, start + (peak - start) * minimum(t / warmup, 1.0), after)
