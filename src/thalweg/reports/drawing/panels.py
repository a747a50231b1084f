"""One panel per optimizer: its metric against the learning rate."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from thalweg.analysis.formatting import several
from thalweg.records.types import StudyRecord
from thalweg.reports.drawing.frame import Plain, layout, outline, points
from thalweg.reports.figures.formatting import rate, value
from thalweg.reports.figures.scales import Scale
from thalweg.reports.figures.sweep import Panel, Spot, Sweep

EDGE = 0.05  # distance from the axis' end, as a fraction, of marks for values outside the axis


def panel_figure(study: StudyRecord, whole: Sweep, panel: Panel) -> Plain:
    """Interval, seeds, mean and marks, in front of the first contender's mean as a reference."""
    lines = [_mean(spots, "@faint", 1.0) for spots in panel.others]
    if panel is not whole.panels[0]:
        lines.append(_mean(whole.panels[0].spots, "@reference", 1.25))
    traces = [*lines, _band(panel.spots), _seeds(panel.spots), _mean(panel.spots, "@ink", 1.75)]
    shapes = [_shade(*panel.shade)] if panel.shade else []
    return {
        "data": [*traces, *_marks(study, whole.metric, panel)],
        "layout": layout(whole.rates, whole.metric, "learning rate", 44, shapes),
    }


def _mean(spots: Sequence[Spot], colour: str, width: float) -> Plain:
    line = {"mode": "lines", "line": {"color": colour, "width": width}, "hoverinfo": "skip"}
    return {"type": "scatter", "x": [s.rate for s in spots], "y": [s.mean for s in spots], **line}


def _band(spots: Sequence[Spot]) -> Plain:
    """Band of the means' intervals; a rate without one leaves a gap, a rate between two gaps is a vertical stroke."""
    pieces = [list(piece) for known, piece in groupby(spots, lambda s: s.low is not None) if known]
    band = outline([([s.rate for s in p], _known(s.low for s in p), _known(s.high for s in p)) for p in pieces])
    return {**band, "fillcolor": "@ink 0.09", "line": {"color": "@ink 0.14", "width": 1}}


def _known(values: Iterable[float | None]) -> list[float]:
    return [v for v in values if v is not None]


def _seeds(spots: Sequence[Spot]) -> Plain:
    dots = [(spot.rate, seed) for spot in spots for seed in spot.seeds]
    return points([x for x, _ in dots], [y for _, y in dots], {"color": "@ink 0.4", "size": 3})


def _marks(study: StudyRecord, scale: Scale, panel: Panel) -> list[Plain]:
    """Marks with hover texts, the choice on top."""
    inside = [s for s in panel.spots if s.mean is not None and 0 <= scale.fraction(s.mean) <= 1]
    outside = [s for s in panel.spots if s.mean is not None and s not in inside]
    diverged = [s for s in panel.spots if s.diverged]
    worst = EDGE if study.higher_is_better else 1 - EDGE
    away = {"symbol": f"triangle-{'down' if study.higher_is_better else 'up'}", "color": "@ink", "size": 6}
    cross = {"symbol": "x-thin", "size": 7, "line": {"color": "@diverged", "width": 2}}
    marks = [
        _spots(study, inside, None, {"color": "@ink", "size": 4.5}),
        _spots(study, outside, scale.at(worst), away),
        _spots(study, diverged, scale.at(worst), cross),
    ]
    if panel.default:
        marks.append(_default(study, panel.default))
    if panel.chosen:
        marks.append(_spots(study, [panel.chosen], None, _ring(), "chosen: "))
    return [mark for mark in marks if mark["x"]]


def _ring() -> Plain:
    return {"color": "@leader", "size": 10, "line": {"color": "@page", "width": 2}}


def _spots(study: StudyRecord, spots: Sequence[Spot], y: float | None, marker: Plain, lead: str = "") -> Plain:
    """Marks at the spots' means, or all at `y` if given."""
    heights = [spot.mean if y is None else y for spot in spots]
    return points([s.rate for s in spots], heights, marker, [lead + _text(study, s) for s in spots])


def _text(study: StudyRecord, spot: Spot) -> str:
    lines = [f"<b>{rate(spot.rate)}</b>"]
    if spot.mean is not None:
        lines.append(value(study, spot.mean))
    if spot.low is not None:
        lines.append(f"95%: {value(study, spot.low)} to {value(study, spot.high)}")
    if spot.diverged:
        lines.append(f"{spot.diverged} of {several(spot.runs, 'run')} diverged")
    return "<br>".join(lines)


def _default(study: StudyRecord, default: tuple[float, float]) -> Plain:
    marker = {"symbol": "diamond-open", "size": 9, "color": "@default", "line": {"color": "@default", "width": 1.75}}
    text = f"published default {rate(default[0])}<br>{value(study, default[1])} on fresh seeds"
    return points([default[0]], [default[1]], marker, [text])


def _shade(low: float, high: float) -> Plain:
    fill = {"fillcolor": "@leader 0.13", "line": {"width": 0}, "layer": "below"}
    return {"type": "rect", "yref": "paper", "x0": low, "x1": high, "y0": 0, "y1": 1, **fill}
