"""Schedules made of schedules: a warm-up before any, one after the other, their product, and a multiple.

Parts may be plain functions of the step. Lengths of parts are counted in the part of the run that is theirs.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.numerics import Value, maximum, where
from thalweg.options.ranges import POSITIVE
from thalweg.schedules.annealing import Level, warmed
from thalweg.schedules.arguments import OPEN, Arguments
from thalweg.schedules.lengths import Horizon
from thalweg.schedules.schedule import MAKERS, Maker, Schedule, as_schedule

Part = Schedule | Callable[[Any], Any]


def warmup(schedule: Part, *, steps: int | str = "5%", start: Level = None, convention: str | None = None) -> Schedule:
    """A linear warm-up to the first value of a schedule, which follows from its own step 0.

    Args:
        schedule: any, or a function of the step. steps: from 1. start: the value at step 0, in [0, base]; by default
            the warm-up is (t + 1)/steps of the first value, so that no step is lost.
        convention: "torch" starts at a third (LinearLR in a SequentialLR); "hf" and "optax" start at 0; "timm" too, and
            the schedule is entered at its step `steps`, not at its first.

    Raises:
        InputError: a value out of its range.
    """
    part = _part("warmup", schedule)
    a = Arguments("warmup", {"schedule": part, **_without(locals(), "part")})
    length = a.run_length("steps", 1)
    base = _base(part)
    explicit = a.convention is not None or start is not None
    first = a.level("start", base, a.default(0.0, torch=f"{100 / 3!r}%")) if explicit else None
    offset = 0.0 if a.convention == "timm" else length
    stays = part.steps + offset if part.steps else 0
    return _made(a, (part,), base, stays, _warmup, part=part, steps=length, start=first, offset=offset)


def join(*schedules: Part, boundaries: Any) -> Schedule:
    """One schedule after the other, each counting from its own step 0. Its base is that of the first.

    Args:
        schedules: any, or functions of the step. boundaries: the steps at which the others begin, ascending.

    Raises:
        InputError: another number of boundaries than of schedules but one, or boundaries that do not ascend.
    """
    parts = tuple(_part("join", schedule) for schedule in schedules)
    if not parts or not isinstance(boundaries, list | tuple) or len(boundaries) != len(parts) - 1:
        raise InputError(f"join of {len(parts)} schedules needs a list of {max(len(parts) - 1, 0)} boundaries.")
    a = Arguments("join", {"schedules": parts, "boundaries": boundaries})
    at = a.boundaries("boundaries") if boundaries else ()
    if not boundaries:
        a.given["boundaries"] = ()
    last = parts[-1].steps + (at[-1] if at else 0) if parts[-1].steps else 0
    return _made(a, parts, _base(parts[0]), last, _join, parts=parts, at=at)


def chain(*schedules: Part) -> Schedule:
    """The product of schedules. Its base is that of the first; others without one are factors, of base 1.

    Args:
        schedules: any, or functions of the step: chain(cosine(0.1, steps=100), step(every=30, factor=0.5)).

    Raises:
        InputError: no schedule, or something that is none.
    """
    parts = tuple(_part("chain", schedule) for schedule in schedules)
    if not parts:
        raise InputError("chain needs one schedule at least.")
    a = Arguments("chain", {"schedules": parts})
    factors = (parts[0], *(part if part.base is not None else part.with_base(1.0) for part in parts[1:]))
    stays = max(part.steps for part in parts) if all(part.steps for part in parts) else 0
    return _made(a, factors, _base(parts[0]), stays, _product, parts=factors)


def scale(schedule: Part, factor: float) -> Schedule:
    """A schedule times a factor.

    Args:
        schedule: any, or a function of the step. factor: above 0.

    Raises:
        InputError: another factor, or what is no schedule.
    """
    part = _part("scale", schedule)
    a = Arguments("scale", {"schedule": part, "factor": factor})
    by = a.number("factor", POSITIVE)
    made = _made(a, (part,), _base(part), part.steps, _scaled, part=part, factor=by)
    return made if made.base is None else replace(made, base=made.base * by)


def _part(owner: str, value: Any) -> Schedule:
    found = as_schedule(value)
    if found is None:
        raise InputError(f"{owner} takes schedules and functions of the step, got {shown(value)}.")
    return found


def _base(part: Schedule) -> float:
    return OPEN if part.base is None else part.base


def _without(of: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in of.items() if key not in (name, "schedule")}


def _made(
    a: Arguments,
    parts: tuple[Schedule, ...],
    base: float,
    stays: float,
    function: Callable[..., Value],
    /,
    **values: Any,
) -> Schedule:
    is_open = any(not part.is_resolved or part.base is None for part in parts)
    return a.schedule(base, OPEN if is_open else stays, function, **values)


def _warmup(t: Value, *, part: Schedule, steps: float, start: float | None, offset: float) -> Value:
    return warmed(t, steps, part(0), start, part(maximum(t - offset, 0.0)))


def _join(t: Value, *, parts: tuple[Schedule, ...], at: tuple[float, ...]) -> Value:
    found = parts[0](t)
    for begin, part in zip(at, parts[1:], strict=True):
        found = where(t >= begin, part(maximum(t - begin, 0.0)), found)
    return found


def _product(t: Value, *, parts: tuple[Schedule, ...]) -> Value:
    found = parts[0](t)
    for part in parts[1:]:
        found = found * part(t)
    return found


def _scaled(t: Value, *, part: Schedule, factor: float) -> Value:
    return factor * part(t)


def _in(run: Horizon, part: Schedule) -> Schedule:
    return part.resolved(steps=run.steps, steps_per_epoch=run.steps_per_epoch)


def _resolve_warmup(schedule: Schedule, run: Horizon) -> Schedule:
    mine = _own(schedule, run)
    rest = run if mine.get("convention") == "timm" else run.rest(mine["steps"])
    return warmup(**{**mine, "schedule": _in(rest, mine["schedule"])})


def _resolve_join(schedule: Schedule, run: Horizon) -> Schedule:
    mine = _own(schedule, run)
    begins = (0, *mine["boundaries"])
    ends = (*mine["boundaries"], run.steps)
    spans = [None if end is None else max(end - begin, 1) for begin, end in zip(begins, ends, strict=True)]
    parts = zip(spans, mine["schedules"], strict=True)
    resolved = [_in(Horizon(span, run.steps_per_epoch), part) for span, part in parts]
    return join(*resolved, boundaries=mine["boundaries"])


def _resolve_all(schedule: Schedule, run: Horizon) -> Schedule:
    named = {k: _in(run, v) if isinstance(v, Schedule) else v for k, v in schedule.arguments.items()}
    if "schedules" in named:
        named["schedules"] = tuple(_in(run, part) for part in schedule.parts)
    return MAKERS[schedule.name].call(named)


def _own(schedule: Schedule, run: Horizon) -> dict[str, Any]:
    """The arguments with its own lengths in steps, those of its parts left as they are."""
    return dict(Maker(MAKERS[schedule.name].function).resolve(schedule, run).arguments)


def _rebase_part(schedule: Schedule, base: float) -> Schedule:
    part = schedule.parts[0]
    if schedule.name == "scale":
        return schedule.remade(schedule=part.with_base(base / schedule.arguments["factor"]))
    return schedule.remade(schedule=part.with_base(base))


def _rebase_first(schedule: Schedule, base: float) -> Schedule:
    first, *others = schedule.parts
    return schedule.remade(schedules=(first.with_base(base), *others))


def _rebase_all(schedule: Schedule, base: float) -> Schedule:
    """Parts without a base take this one; others keep their ratio to the first."""
    times = base / schedule.base if schedule.base else 1.0
    parts = tuple(part.with_base(base if part.base is None else part.base * times) for part in schedule.parts)
    return schedule.remade(schedules=parts)


MAKERS["warmup"] = Maker(warmup, _resolve_warmup, _rebase_part, ("torch", "optax", "hf", "timm"))
MAKERS["join"] = Maker(join, _resolve_join, _rebase_all)
MAKERS["chain"] = Maker(chain, _resolve_all, _rebase_first)
MAKERS["scale"] = Maker(scale, _resolve_all, _rebase_part)
