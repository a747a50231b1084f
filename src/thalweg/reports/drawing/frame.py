"""Shared parts of all figures: axes, layout, bands, and JSON encoding."""

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.reports.figures.scales import Scale

Plain = dict[str, Any]  # a plotly.js trace, shape, layout or figure

LEGIBLE = 11  # font size of axis texts in pixels, the smallest that is legible


def layout(
    x: Scale, y: Scale, title: str, left: int, shapes: Sequence[Plain] = (), notes: Sequence[Plain] = ()
) -> Plain:
    """One pair of axes without title, legend or zoom: the page has its own captions, and touch must scroll the page."""
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
    """A coordinate of a range or annotation: plotly.js wants log10 on a log axis, unlike for traces and shapes."""
    return math.log10(value) if scale.log else value


def points(x: Sequence[float], y: Sequence[float | None], marker: Plain, texts: Sequence[str] = ()) -> Plain:
    """A scatter trace of markers, with `texts` on hover if given."""
    spoken = {"hoverinfo": "text", "hovertext": list(texts)} if texts else {"hoverinfo": "skip"}
    return {"type": "scatter", "mode": "markers", "x": list(x), "y": list(y), "marker": marker, **spoken}


def outline(pieces: Sequence[tuple[Sequence[float], Sequence[float], Sequence[float]]]) -> Plain:
    """Filled bands, each given as (x, lower ends, upper ends), as one closed trace."""
    x: list[float | None] = []
    y: list[float | None] = []
    for along, low, high in pieces:
        x += [*([None] if x else []), *along, *reversed(along)]
        y += [*([None] if y else []), *low, *reversed(high)]
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "fill": "toself", "hoverinfo": "skip"}


def plotly_text(name: str) -> str:
    """Escapes &, < and > for Plotly, which interprets a subset of HTML in texts."""
    return html.escape(name, quote=False)


def as_json(figures: Mapping[str, Plain]) -> str:
    """JSON that is safe inside a script element: no NaN or infinity, and `<` escaped."""
    return json.dumps(_strict(figures), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _strict(data: Any) -> Any:
    """Replaces non-finite numbers by `None`, recursively."""
    if isinstance(data, Mapping):
        return {key: _strict(inner) for key, inner in data.items()}
    if isinstance(data, list):
        return [_strict(inner) for inner in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
