"""The table of schedules, and the values of one."""

import inspect
from collections.abc import Callable, Sequence

from thalweg.errors import InputError
from thalweg.schedules import Performance, Schedule, parse, performance
from thalweg.schedules.parsing import names
from thalweg.schedules.plateau import CONVENTIONS
from thalweg.schedules.schedule import MAKERS

HEADS = ("name", "what it is", "arguments (defaults)", "conventions")


def rows() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(headings, one list of cells per schedule)."""
    return HEADS, [_row(text, name) for text, name in names().items()]


def _row(text: str, name: str) -> tuple[str, ...]:
    function: Callable[..., object] = performance if name == "performance" else MAKERS[name].function
    conventions = CONVENTIONS if name == "performance" else MAKERS[name].conventions
    first = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
    return text, first, _arguments(function), ", ".join(conventions)


def _arguments(function: Callable[..., object]) -> str:
    """The arguments, those left out by default by their names alone."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "convention"]
    return ", ".join(
        p.name if p.default is None or p.default is p.empty else f"{p.name}={_written(p.default)}" for p in parameters
    )


def _written(default: object) -> str:
    if isinstance(default, tuple):
        return f"[{', '.join(map(_written, default))}]"
    return default if isinstance(default, str) else f"{default!r}"


def in_run(text: str, steps: int) -> Schedule:
    """The schedule of a text in a run of so many steps, of one epoch; of base 1 if it has none.

    Raises `InputError` for no schedule, or for one that follows the metric and has no values by step.
    """
    found = parse(text)
    if isinstance(found, Performance):
        raise InputError(
            f"{found} follows the metric and has no values by step: they are those of its advance(state, metric)."
        )
    closed = found.resolved(steps=steps, steps_per_epoch=steps)
    return closed if closed.base is not None else closed.with_base(1.0)


def values(schedule: Schedule, steps: int) -> list[tuple[int, float, float | None]]:
    """(step, value, momentum if it has one) at a few steps of a run, its end and past it included."""
    tenths = {round(steps * k / 10) for k in range(11)}
    shown = sorted({0, 1, *tenths, max(steps - 1, 0), 2 * steps})
    beside = schedule.momentum
    return [(t, float(schedule.at(t)), float(beside.at(t)) if beside is not None else None) for t in shown]


def table(schedule: Schedule, steps: int) -> list[str]:
    """The lines of `values`, under headings."""
    found = values(schedule, steps)
    with_momentum = schedule.momentum is not None
    lines = [_line(("step", "value", *(["momentum"] if with_momentum else [])))]
    return lines + [_line((f"{t:,}", f"{v:.6g}", *([f"{m:.6g}"] if m is not None else []))) for t, v, m in found]


def _line(cells: Sequence[str]) -> str:
    return "  ".join(cell.rjust(12) for cell in cells)
