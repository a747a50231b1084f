"""Schedules that rise again on purpose: cosine with warm restarts, and triangles."""

import math

from thalweg.errors import InputError
from thalweg.numerics import Value, cos, floor, log, maximum, minimum, power, where
from thalweg.options.ranges import Range, whole
from thalweg.schedules.annealing import PI, Length, Level, warmed
from thalweg.schedules.arguments import OPEN, Arguments
from thalweg.schedules.schedule import Schedule, maker

TINY = 1e-10
"""Added to a logarithm before it is rounded down: the quotient of two logarithms may lie just below a whole number."""

MODES = ("triangular", "triangular2", "exp_range")
GROWTH = Range(1.0)


@maker("torch", "keras", "hf", "timm")
def cosine_restarts(
    peak: float | None = None, *, steps: Length = None, cycles: int | None = None, period: Length = None,
    growth: float | None = None, decay: float = 1.0, warmup: int | str = 0, end: Level = None,
    convention: str | None = None,
) -> Schedule:  # fmt: skip
    """Half cosines from a peak to `end`, one after the other. Loshchilov & Hutter 2016, arXiv:1608.03983.

    Args:
        peak: above 0; its base. steps: of all cycles, warm-up included; the run by default. cycles: their number, 3.
        period: in place of `steps`, the first cycle's length; then endless unless `cycles` is given.
        growth: from 1, each cycle is so many times as long as the one before; 1. decay: in (0, 1], of the peaks.
        warmup: below `steps`. end: in [0, peak].
        convention: "torch" needs a period and is endless; "keras" too, with a growth of 2; "hf" is of one cycle, and
            warms up from 0; "timm" needs a period, is of one cycle, and its peaks decay to `end` only.

    Raises:
        InputError: a value out of its range, or an argument that the convention does not have.
    """
    a = Arguments("cosine_restarts", locals())
    if a.convention in ("torch", "keras", "timm"):
        a.need("period")
        a.refuse("leave it out", "warmup", "steps")
    if a.convention in ("torch", "keras"):
        a.refuse("it has no end", "cycles")
    if a.convention == "hf":
        a.refuse("leave it out", "period", "growth", "end")
    top, rate = a.base("peak"), a.number("decay", Range(0.0, 1.0, open_low=True))
    times = a.number("growth", GROWTH, a.default(1.0, keras=2.0))
    number = a.default(3 if period is None else 0, hf=1, timm=1)  # 0: endless
    count = int(number if cycles is None else a.number("cycles", whole(1)))
    first, warm, total = _lengths(a, float(count) if times == 1 else (times**count - 1) / (times - 1))
    finish = OPEN if math.isnan(first + warm + total) else float(math.ceil(total - TINY))
    return a.schedule(
        top, finish, _restarts, peak=top, warmup=warm, period=first, growth=times, decay=rate, end=a.level("end", top),
        until=total if count else math.inf, start=0.0 if a.convention == "hf" else None,
        absolute=a.convention == "timm",
    )  # fmt: skip


def _lengths(a: Arguments, periods: float) -> tuple[float, float, float]:
    """(first cycle, warm-up, all). periods: the length of all cycles in that of the first; 0 where they never end."""
    if a.given["period"] is None:
        total = a.run_length("steps", 1)
        warm = a.length("warmup", 0, total, total - 1)
        return (total - warm) / periods, warm, total
    if a.given["steps"] is not None:
        raise InputError("cosine_restarts takes either steps, of all cycles, or period, of the first; got both.")
    first, warm = a.run_length("period", 1), a.run_length("warmup", 0)
    return first, warm, warm + first * periods if periods else 0.0


@maker("torch")
def cyclic(
    peak: float | None = None, *, low: Level = "10%", up: Length = None, down: Length = None, mode: str = "triangular",
    gamma: float = 1.0, convention: str | None = None,
) -> Schedule:  # fmt: skip
    """Triangles between `low` and `peak`, from `low` at step 0, endless. Smith 2015, arXiv:1506.01186.

    Args:
        peak: above 0; its base. low: in [0, peak]. up: steps of the rise, from 1; a quarter of the run by default.
        down: of the fall, as many by default. mode: "triangular"; "triangular2", whose height halves with each cycle;
            "exp_range", whose height is multiplied by `gamma`, in (0, 1], at each step.
        convention: "torch" is CyclicLR, which rises in 2,000 steps by default. Its momentum is not part of this one.

    Raises:
        InputError: a value out of its range, such as a peak below `low`.
    """
    a = Arguments("cyclic", locals())
    top, least = a.base("peak"), a.level("low", a.base("peak"))
    rise = a.run_length("up", 1, a.default("25%", torch=2000))
    fall = a.run_length("down", 1) if down is not None else rise
    shape = a.choice("mode", MODES)
    rate = a.number("gamma", Range(0.0, 1.0, open_low=True)) if shape == "exp_range" else 1.0
    return a.schedule(
        top, OPEN if math.isnan(rise + fall) else 0, _triangles, peak=top, low=least, up=rise, down=fall,
        halving=shape == "triangular2", gamma=rate,
    )  # fmt: skip


def _restarts(
    t: Value, *, peak: float, warmup: float, period: float, growth: float, decay: float, end: float, until: float,
    start: float | None, absolute: bool,
) -> Value:  # fmt: skip
    since = maximum(t - warmup, 0.0)
    if growth == 1.0:
        number = floor(since / period + TINY)
        share = (since - number * period) / period
    else:
        number = floor(log(1.0 + since * (growth - 1.0) / period) / math.log(growth) + TINY)
        grown = power(growth, number)
        share = (since - period * (grown - 1.0) / (growth - 1.0)) / (period * grown)
    share = minimum(maximum(share, 0.0), 1.0)
    height = power(decay, number) if decay != 1.0 else 1.0
    above = peak * height - end if absolute else (peak - end) * height
    found = end + above * (0.5 * (1.0 + cos(PI * share)))
    ended = found if until == math.inf else where(t >= until, end, found)
    return warmed(t, warmup, peak, start, ended)


def _triangles(t: Value, *, peak: float, low: float, up: float, down: float, halving: bool, gamma: float) -> Value:
    number = floor(t / (up + down))
    within = t - number * (up + down)
    height = where(within <= up, within / up, (up + down - within) / down)
    if halving:
        height = height * power(0.5, number)
    if gamma != 1.0:
        height = height * power(gamma, t)
    return low + (peak - low) * height
