"""1cycle: up to the peak and down again, the momentum the other way, and an annealing at the end."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from thalweg.errors import InputError, shown
from thalweg.numerics import Value, clip, cos, minimum, where
from thalweg.options.ranges import Range
from thalweg.schedules.annealing import PI, Length, Level
from thalweg.schedules.arguments import Arguments
from thalweg.schedules.lengths import share_of
from thalweg.schedules.schedule import Schedule, maker

MOMENTUM = (0.85, 0.95)
CONVENTIONS = ("torch", "optax")
SHAPES = ("cosine", "linear")


class Phase(NamedTuple):
    """A way from one value to another, until a step."""

    until: float
    start: float
    end: float


@maker(*CONVENTIONS)
def one_cycle(
    peak: float | None = None, *, steps: Length = None, rise: int | str = "30%", fall: Length = None,
    start: Level = "4%", end: Level = None, shape: str | None = None,
    momentum: Sequence[float] | bool | None = None, convention: str | None = None,
) -> Schedule:  # fmt: skip
    """From `start` up to the peak at step `rise`, and down to `end` at step `steps`. Smith 2018, arXiv:1803.09820.

    Args:
        peak: above 0; its base. steps: from 2; the whole run by default. rise: from 1, below `steps`.
        fall: steps of the way back to `start`, after which it anneals to `end`; by default one way down to `end`.
        start, end: in [0, peak]; 4% of the peak, and 1/10,000 of the start. shape: "cosine", the default, or "linear".
        momentum: (low, high), or True for (0.85, 0.95): the `momentum` of this schedule falls from high to low while
            the rate rises. By default it has none.
        convention: "torch" is OneCycleLR: the peak lies at step rise - 1 and the end at steps - 1, `fall` is `rise` or
            none, there is a momentum by default, and past its end it rises again or is negative, for one step, at whose
            value we stay (torch raises an error). "optax" has no momentum; linear, it falls in 55% by default.

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("one_cycle", locals())
    form, times = _times(a)
    top, first = a.base("peak"), a.level("start", a.base("peak"))
    last = first / 1e4 if end is None else a.level("end", top)
    low, high = _momentum(a)
    beyond = a.convention == "torch"
    return a.schedule(
        top, times[-1] + beyond, _phases, _counterpart(a, low, high) if high else None,
        phases=_way(times, first, top, last), shape=form, beyond=beyond,
    )  # fmt: skip


@maker(*CONVENTIONS)
def one_cycle_momentum(
    high: float | None = None, *, low: float = 0.85, steps: Length = None, rise: int | str = "30%", fall: Length = None,
    shape: str | None = None, convention: str | None = None,
) -> Schedule:  # fmt: skip
    """The momentum of a 1cycle: from `high` down to `low` at step `rise`, and up again.

    Args:
        high: in (0, 1); its base. low: in [0, high]. steps, rise, fall, shape, convention: as those of `one_cycle`.

    Raises:
        InputError: a value out of its range.
    """
    a = Arguments("one_cycle_momentum", locals())
    form, times = _times(a)
    base = a.base("high")
    most = Range(0.0, 1.0, open_high=True).check("The 'high' of one_cycle_momentum", 0.95 if math.isnan(base) else base)
    least = Range(0.0, most).check("The 'low' of one_cycle_momentum", low)
    return a.schedule(
        base, times[-1], _phases, phases=_way(times, base, least, base), shape=form, beyond=a.convention == "torch"
    )


def _times(a: Arguments) -> tuple[str, tuple[float, ...]]:
    """The shape, and the steps at which the phases end."""
    form = a.choice("shape", SHAPES, "cosine")
    total = a.run_length("steps", 2)
    a.require_shares("rise", "fall")
    if a.convention == "torch":
        return form, _times_of_torch(a, total)
    if a.convention == "optax":
        up, down = _share(a, "rise", total), 0.0
        if form == "linear":
            down = _share(a, "fall", total, "55%")
        else:
            a.refuse("its cosine has two phases", "fall")
        return form, (_cut(up * total), *([_cut((up + down) * total)] if down else []), total)
    up = a.length("rise", 1, total, total - 1)
    if a.given["fall"] is None:
        return form, (up, total)
    return form, (up, up + a.length("fall", 1, total, total - up), total)


def _times_of_torch(a: Arguments, total: float) -> tuple[float, ...]:
    up = _share(a, "rise", total)
    if up * total <= 1:
        raise InputError(
            f"The 'rise' of one_cycle as in torch must be over one step of its {total:g}, got {shown(a.given['rise'])}."
        )
    if a.given["fall"] is None:
        return up * total - 1, total - 1
    if a.given["fall"] != a.given["rise"] or up > 0.5:
        raise InputError("The 'fall' of one_cycle as in torch must be its 'rise', and both at most half of its steps.")
    return up * total - 1, 2 * up * total - 2, total - 1


def _share(a: Arguments, name: str, total: float, default: str | None = None) -> float:
    """A length as a share of the steps, as these libraries take it: not rounded."""
    share = share_of(f"The {name!r} of {a.name}", default if a.given[name] is None else a.given[name])
    return share if share is not None else a.length(name, 1, total, total) / total


def _cut(steps: float) -> float:
    return steps if math.isnan(steps) else float(int(steps))


def _way(times: Sequence[float], start: float, top: float, end: float) -> tuple[Phase, ...]:
    """The phases: up, and down to the end; or up, down to the start, and to the end."""
    if len(times) == 2:
        return Phase(times[0], start, top), Phase(times[1], top, end)
    return Phase(times[0], start, top), Phase(times[1], top, start), Phase(times[2], start, end)


def _momentum(a: Arguments) -> tuple[float, float]:
    """(low, high); zeros if it has none."""
    given = a.given["momentum"]
    if given is None or isinstance(given, bool):
        return MOMENTUM if given or (given is None and a.convention == "torch") else (0.0, 0.0)
    try:
        low, high = (Range(0.0, 1.0, open_high=True).read(value) for value in given)
    except (TypeError, ValueError):
        low = high = None
    if low is None or high is None or not 0 <= low <= high or high == 0:
        raise InputError(
            f"The 'momentum' of one_cycle must be (low, high) with 0 <= low <= high < 1, or True, got {shown(given)}."
        )
    a.given["momentum"] = (low, high)
    return low, high


def _counterpart(a: Arguments, low: float, high: float) -> Schedule:
    same: dict[str, Any] = {name: a.given[name] for name in ("steps", "rise", "fall", "shape", "convention")}
    return one_cycle_momentum(high, low=low, **same)


def _phases(t: Value, *, phases: Sequence[Phase], shape: str, beyond: bool) -> Value:
    """beyond: whether the last phase goes on for one step past its end, as torch's does."""
    begins = (0.0, *(phase.until for phase in phases[:-1]))
    found: Value = phases[-1].end
    for i in reversed(range(len(phases))):
        phase, length = phases[i], phases[i].until - begins[i]
        progress = (minimum(t, phase.until + 1) if beyond else t) - begins[i]
        share = progress / length if length else 1.0 + 0.0 * t
        last = i == len(phases) - 1
        if not (beyond and last):
            share = clip(share, 0.0, 1.0)
        value = _between(phase.start, phase.end, share, shape)
        found = value if last else where(t <= phase.until, value, found)
    return found


def _between(start: float, end: float, share: Value, shape: str) -> Value:
    if shape == "linear":
        return start + (end - start) * share
    return end + (start - end) * (0.5 * (1.0 + cos(PI * share)))
