"""What all figures share: axes, layout, outlines, and how they are written as JSON."""

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.reports.figures.scales import Scale

Plain = dict[str, Any]  # a trace, a shape, a layout or a whole figure, as plotly.js takes it

LEGIBLE = 11  # pixels; the least that stands on an axis


def layout(
    x: Scale, y: Scale, title: str, left: int, shapes: Sequence[Plain] = (), notes: Sequence[Plain] = ()
) -> Plain:
    """One pair of axes without title, legend or zoom: the page has words for these, and fingers scroll."""
    label = {"font": {"color": "@ink", "size": 12}, "bgcolor": "@raised", "bordercolor": "@line", "align": "left"}
    return {
        "autosize": True,
        "margin": {"l": left, "r": 10, "t": 8, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": label,
        "font": {"color": "@muted", "size": LEGIBLE},
        "shapes": list(shapes),
        "annotations": list(notes),
        "xaxis": {**_axis(x), "showgrid": False, "ticks": "outside", "title": {"text": title, "standoff": 6}},
        "yaxis": _axis(y),
    }


def _axis(scale: Scale) -> Plain:
    return {
        "type": "log" if scale.log else "linear",
        "range": [on_axis(scale, scale.low), on_axis(scale, scale.high)],
        "tickmode": "array",
        "tickvals": list(scale.ticks),
        "ticktext": list(scale.labels),
        "ticklen": 4,
        "tickcolor": "@line",
        "gridcolor": "@grid",
        "zeroline": False,
        "fixedrange": True,
    }


def on_axis(scale: Scale, value: float) -> float:
    """Where plotly.js wants a range or an annotation: in decades on a logarithmic axis. Traces and shapes are not."""
    return math.log10(value) if scale.log else value


def points(x: Sequence[float], y: Sequence[float | None], marker: Plain, texts: Sequence[str] = ()) -> Plain:
    """Markers; with texts they answer to the pointer."""
    spoken = {"hoverinfo": "text", "hovertext": list(texts)} if texts else {"hoverinfo": "skip"}
    return {"type": "scatter", "mode": "markers", "x": list(x), "y": list(y), "marker": marker, **spoken}


def outline(pieces: Sequence[tuple[Sequence[float], Sequence[float], Sequence[float]]]) -> Plain:
    """Filled bands, each (x, lower ends, higher ends): along the lower ends and back along the higher."""
    x: list[float | None] = []
    y: list[float | None] = []
    for along, low, high in pieces:
        x += [*([None] if x else []), *along, *reversed(along)]
        y += [*([None] if y else []), *low, *reversed(high)]
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "fill": "toself", "hoverinfo": "skip"}


def plotly_text(name: str) -> str:
    """Plotly reads a small HTML of its own in texts, and undoes these three escapes."""
    return html.escape(name, quote=False)


def as_json(figures: Mapping[str, Plain]) -> str:
    """JSON that can stand in a script element: strict numbers, and no `<` to end it."""
    return json.dumps(_strict(figures), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _strict(data: Any) -> Any:
    """Numbers that JSON has no word for become null."""
    if isinstance(data, Mapping):
        return {key: _strict(inner) for key, inner in data.items()}
    if isinstance(data, list):
        return [_strict(inner) for inner in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
