"""A schedule as data to be drawn: its value, and its momentum if it has one, against the step."""

from dataclasses import dataclass

from thalweg.reports.figures.scales import Scale, linear_scale
from thalweg.schedules.schedule import Schedule

MOST = 1500
"""Points of a curve: a step each in shorter runs."""

ROOM = 0.05
"""Of the range of values, above and below a curve."""


@dataclass(frozen=True)
class ValueCurve:
    """One curve. points: (step, value), each of which holds until the next."""

    label: str
    axis: Scale
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ScheduleFigure:
    """The curves of a schedule on one axis of steps."""

    title: str
    steps: Scale
    curves: tuple[ValueCurve, ...]


def schedule_figure(schedule: Schedule, steps: int) -> ScheduleFigure:
    """Samples a closed schedule at steps 0 to `steps`. Raises `InputError` where its function does."""
    curves = [_curve("value", schedule, steps)]
    if schedule.momentum is not None:
        curves.append(_curve("momentum", schedule.momentum, steps))
    return ScheduleFigure(str(schedule), linear_scale(0.0, float(steps)), tuple(curves))


def _curve(label: str, schedule: Schedule, steps: int) -> ValueCurve:
    count = min(steps, MOST)
    places = sorted({round(steps * i / count) for i in range(count + 1)})
    points = tuple((float(t), float(schedule.at(t))) for t in places)
    found = [value for _, value in points]
    low, high = min(found), max(found)
    low = 0.0 if 0 <= low < 0.5 * high else low
    room = ROOM * (high - low) or 0.5 * abs(high) or 0.5
    return ValueCurve(label, linear_scale(low if low == 0 else low - room, high + room), points)
