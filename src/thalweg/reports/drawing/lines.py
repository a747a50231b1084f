"""Learning curves of all optimizers in one figure; the page can highlight or dim each."""

from collections.abc import Callable, Sequence

from thalweg.records.types import StudyRecord
from thalweg.reports.drawing.frame import Plain, layout, on_axis, outline, plotly_text, points
from thalweg.reports.figures import formatting
from thalweg.reports.figures.curves import Curve, Curves
from thalweg.reports.figures.scales import Scale

COLOURS = 6  # the page's `@series-0` … `@series-5`; further optimizers reuse them with another dash pattern
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "2px,6px")


def look(index: int) -> tuple[str, str]:
    """(colour, dash) of the n-th optimizer when highlighted."""
    return f"series-{index % COLOURS}", DASHES[index // COLOURS % len(DASHES)]


def metric_figure(study: StudyRecord, curves: Curves) -> Plain:
    """Figure of the validation metric over training, with the target."""
    texts = [_texts(curves, s.contender, s.metric, lambda v: formatting.value(study, v)) for s in curves.series]
    traces = [t for i, s in enumerate(curves.series) for t in _traces(curves, i, s.metric, texts[i])]
    shapes = [] if curves.target is None else [_target_line(curves.target)]
    notes = [] if curves.target is None else [_target_note(study, curves.metric, curves.target)]
    return {"data": traces, "layout": layout(_axis(curves), curves.metric, curves.unit, 52, shapes, notes)}


def loss_figure(curves: Curves) -> Plain:
    """Figure of the training loss over training."""
    texts = [_texts(curves, s.contender, s.loss, lambda v: f"{v:.4g}") for s in curves.series]
    traces = [t for i, s in enumerate(curves.series) for t in _traces(curves, i, s.loss, texts[i])]
    return {"data": traces, "layout": layout(_axis(curves), curves.loss, curves.unit, 52)}


def _traces(curves: Curves, index: int, curve: Curve, texts: Sequence[str]) -> list[Plain]:
    """Traces of one curve: band, mean, and divergence mark. `on` and `off` are their styles highlighted and dimmed."""
    if not curve.mean:
        return []
    x = _places(curves, index, len(curve.mean))
    traces = [_mean(index, x, curve, texts)]
    if curve.seeds > 1:
        traces.insert(0, _band(index, x, curve))
    if curve.stopped is not None:
        traces.append(_stop(curves.unit, index, x[-1], curve))
    return traces


def _places(curves: Curves, index: int, length: int) -> list[float]:
    """X values of the measurements; a single measurement is spread horizontally by optimizer."""
    if len(curves.places) > 1:
        return list(curves.places[:length])
    return [curves.places[0] * (0.6 + 0.8 * (index + 0.5) / len(curves.series))]


def _mean(index: int, x: Sequence[float], curve: Curve, texts: Sequence[str]) -> Plain:
    colour, dash = look(index)
    return {
        **points(x, curve.mean, {}, texts),
        "mode": "lines" if len(x) > 1 else "markers",
        "cliponaxis": False,
        "series": index,
        "on": {"line": {"color": f"@{colour}", "dash": dash, "width": 2.25}, "marker": _dot(f"@{colour}", 8)},
        "off": {"line": {"color": "@behind", "width": 1.1}, "marker": _dot("@behind", 6)},
    }


def _dot(colour: str, size: float) -> Plain:
    return {"color": colour, "size": size}


def _band(index: int, x: Sequence[float], curve: Curve) -> Plain:
    colour = f"@{look(index)[0]}"
    edge = {"color": f"{colour} 0.5", "width": 2} if len(x) == 1 else {"width": 0}
    shown = {"visible": True, "fillcolor": f"{colour} 0.11", "line": edge}
    band = outline([(x, curve.low, curve.high)])
    return {**band, "series": index, "on": shown, "off": {"visible": False}}


def _stop(unit: str, index: int, x: float, curve: Curve) -> Plain:
    """A cross on the last measurement before a seed diverged."""

    def cross(colour: str, size: float) -> Plain:
        return {"marker": {"symbol": "x-thin", "size": size, "line": {"color": colour, "width": 2}}}

    mark = points([x], curve.mean[-1:], {}, [f"a seed diverged before {unit} {curve.stopped:g}"])
    return {
        **mark,
        "cliponaxis": False,
        "series": index,
        "on": cross(f"@{look(index)[0]}", 9),
        "off": cross("@behind", 6),
    }


def _texts(curves: Curves, contender: str, curve: Curve, shown: Callable[[float], str]) -> list[str]:
    ends = zip(curve.mean, curve.low, curve.high, strict=True)
    seeds = [f" ({shown(low)} to {shown(high)})" if curve.seeds > 1 else "" for _, low, high in ends]
    name = plotly_text(contender)
    return [
        f"<b>{name}</b><br>{curves.unit} {curves.places[i]:.4g}: {shown(mean)}{seeds[i]}"
        for i, mean in enumerate(curve.mean)
    ]


def _target_line(target: float) -> Plain:
    line = {"color": "@muted", "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": target, "y1": target, "line": line}


def _target_note(study: StudyRecord, scale: Scale, target: float) -> Plain:
    """The target's label at the left end, on the better side of the line, where no curve starts."""
    side = "bottom" if study.higher_is_better else "top"
    place = {"xref": "paper", "x": 0, "xanchor": "left", "y": on_axis(scale, target), "yanchor": side}
    return {**place, "showarrow": False, "bgcolor": "@page 0.75", "text": f"target {formatting.target(study)}"}


def _axis(curves: Curves) -> Scale:
    """The x axis, with at most about eight ticks at round numbers."""
    first, last = curves.places[0], curves.places[-1]
    if first == last:
        return Scale(0.5 * last, 1.5 * last, False, (last,), (f"{last:.4g}",))
    step = next(s * 10**k for k in range(10) for s in (1, 2, 5) if last <= 8 * s * 10**k)
    ticks = range(step, int(last) + 1, step)
    return Scale(first, last, False, tuple(map(float, ticks)), tuple(map(str, ticks)))
