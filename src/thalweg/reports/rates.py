"""Learning rates over a run, drawn: under the loss, and as sketches of schedules."""

from collections.abc import Sequence

from thalweg.analysis.dimensions import CONSTANT
from thalweg.errors import InputError
from thalweg.records.types import StudyRecord
from thalweg.reports.drawing.lines import COLOURS
from thalweg.reports.figures.scales import linear_scale
from thalweg.reports.markup import Markup, element
from thalweg.schedules import Schedule, parse

POINTS = 240
LEFT, TOP, WIDE, HIGH = 40, 8, 560, 96  # of the drawing within its figure, in pixels


def rates(study: StudyRecord, schedule: str, points: int) -> list[float] | None:
    """The rate at so many places of a run, as shares of its largest; `None` where it cannot be known beforehand.

    It follows the metric then, or is a function of the user's, of which the study knows the name.
    """
    try:
        found = parse(schedule)
    except InputError:
        return None
    if not isinstance(found, Schedule):
        return None
    shape = found.with_base(1.0).resolved(steps=study.steps, steps_per_epoch=study.steps_per_epoch)
    last = study.steps - 1
    values = [float(shape.at(last * i / (points - 1))) for i in range(points)]
    return [value / max(values) for value in values] if max(values) > 0 else None


def path(values: Sequence[float], wide: float, high: float, top: float, left: float = 0.0) -> str:
    """An SVG path through values in [0, 1], from left to right."""
    step = wide / (len(values) - 1)
    return "".join(f"{'L' if i else 'M'}{left + step * i:.1f} {top + high * (1 - v):.1f}" for i, v in enumerate(values))


def figure(study: StudyRecord) -> Markup | None:
    """The rate against epochs, one line for each schedule of the study; `None` where all rates are constant."""
    names = dict.fromkeys(str(own.get("schedule", CONSTANT)) for own in study.factors.values())
    known = {name: values for name in names if (values := rates(study, name, POINTS)) is not None}
    if set(known) <= {CONSTANT}:
        return None
    drawn = [
        element("path", d=path(values, WIDE, HIGH, TOP, LEFT), class_=f"rate series-{i % COLOURS}", fill="none")
        for i, values in enumerate(known.values())
    ]
    keys = [
        element("li", element("span", class_=f"swatch-line series-{i % COLOURS}"), name) for i, name in enumerate(known)
    ]
    size = f"0 0 {LEFT + WIDE + 20} {TOP + HIGH + 24}"
    said = f"Learning rate by epoch under {', '.join(known)}"
    picture = element("svg", *_axes(study), *drawn, viewBox=size, class_="rates-by-epoch", role="img", aria_label=said)
    caption = element("figcaption", element("strong", "Learning rate by epoch, as a share of its largest"))
    return element("figure", caption, picture, element("ul", *keys, class_="key"), class_="rates-figure")


def _axes(study: StudyRecord) -> list[Markup]:
    bottom = TOP + HIGH
    scale = linear_scale(0.0, study.steps / study.steps_per_epoch)
    lines = [element("line", x1=LEFT, x2=LEFT + WIDE, y1=y, y2=y, class_="grid") for y in (TOP, TOP + HIGH / 2, bottom)]
    shares = [
        element("text", text, x=LEFT - 6, y=y + 4, text_anchor="end")
        for y, text in ((TOP, "1"), (TOP + HIGH / 2, "½"), (bottom, "0"))
    ]
    epochs = [
        element("text", label, x=f"{LEFT + WIDE * scale.fraction(tick):.1f}", y=bottom + 18, text_anchor="middle")
        for tick, label in zip(scale.ticks, scale.labels, strict=True)
    ]
    return [*lines, *shares, *epochs]
