"""What plotly.js is given."""

import json
import re
from dataclasses import replace
from importlib.resources import files
from typing import Any

import plotly.graph_objects as go
import pytest
from handmade import finals, rates, run, study
from synthetic import Shape, parts

from thalweg.analysis.leaderboard import leaderboard
from thalweg.reports.drawing.frame import as_json, outline
from thalweg.reports.drawing.lines import COLOURS, DASHES, look, loss_figure, metric_figure
from thalweg.reports.drawing.panels import panel_figure
from thalweg.reports.figures.curves import curves
from thalweg.reports.figures.sweep import sweep

STYLE = (files("thalweg.reports") / "page.css").read_text()
DIVERGED, CHOSEN, DEFAULT = "@diverged", "@leader", "@default"


def panel_of(runs: list, **changes: Any) -> dict[str, Any]:
    record = study(**changes)
    whole = sweep(record, leaderboard(record, runs), runs)
    return panel_figure(record, whole, whole.panels[0])


def all_figures(shape: Shape) -> list[dict[str, Any]]:
    record, rows, runs, _ = parts(shape)
    whole, lines = sweep(record, rows, runs), curves(record, rows, runs)
    return [*(panel_figure(record, whole, p) for p in whole.panels), metric_figure(record, lines), loss_figure(lines)]


def marked(figure: dict[str, Any], colour: str) -> dict[str, Any] | None:
    """The markers of one colour."""
    found = [t for t in figure["data"] if colour in (t.get("marker", {}).get("color"), _edge(t))]
    return found[0] if found else None


def _edge(trace: dict[str, Any]) -> Any:
    return trace.get("marker", {}).get("line", {}).get("color")


def test_crosses_stand_at_the_rates_where_runs_diverged() -> None:
    figure = panel_of(rates({0.01: (0.8, 0.8), 0.1: (0.9, 0.9), 1.0: (0.7, None), 10.0: (None, None)}))
    crosses = marked(figure, DIVERGED)
    assert crosses is not None
    assert crosses["x"] == [1.0, 10.0]
    low, high = figure["layout"]["yaxis"]["range"]
    assert all(low < y < low + 0.1 * (high - low) for y in crosses["y"])
    assert crosses["hovertext"] == ["<b>1</b><br>1 of 2 runs diverged", "<b>10</b><br>2 of 2 runs diverged"]


def test_a_worsened_run_has_a_cross_below_its_mean() -> None:
    runs = [*rates({0.1: (0.9, 0.9)}), run(1.0, 0, 0.4), run(1.0, 1, 0.2, initial_loss=0.1)]
    crosses = marked(panel_of(runs), DIVERGED)
    assert crosses is not None
    assert crosses["x"] == [1.0]
    assert crosses["hovertext"][0].endswith("1 of 2 runs diverged")


def test_crosses_stand_at_the_bad_end_where_lower_is_better() -> None:
    runs = rates({0.1: (0.2, 0.2), 1.0: (None, None)})
    figure = panel_of(runs, metric="error", higher_is_better=False)
    crosses = marked(figure, DIVERGED)
    assert crosses is not None
    low, high = figure["layout"]["yaxis"]["range"]
    assert crosses["y"][0] > low + 0.9 * (high - low)


def test_no_crosses_where_nothing_diverged() -> None:
    assert marked(panel_of(rates({0.1: (0.9, 0.9)})), DIVERGED) is None


def test_choice_plateau_and_default() -> None:
    runs = [*rates({0.001: (0.5, 0.5), 0.01: (0.93, 0.89), 0.1: (0.90, 0.94)}), *finals((0.7, 0.8), 0.001, "defaults")]
    figure = panel_of(runs)
    chosen, default = marked(figure, CHOSEN), marked(figure, DEFAULT)
    assert chosen is not None
    assert default is not None
    assert (chosen["x"], chosen["y"]) == ([0.01], [pytest.approx(0.91)])
    assert (default["x"], default["y"]) == ([0.001], [pytest.approx(0.75)])
    (shade,) = figure["layout"]["shapes"]
    assert (shade["x0"], shade["x1"]) == (pytest.approx(0.01 / 10**0.4), pytest.approx(0.1 * 10**0.4))


def test_a_mean_beyond_the_axis_is_a_triangle_at_its_end() -> None:
    metrics = {10.0**-i: (0.9 + i / 1000, 0.9 + i / 1000) for i in range(7)} | {10.0: (0.1, 0.1)}
    figure = panel_of(rates(metrics))
    (triangle,) = [t for t in figure["data"] if t.get("marker", {}).get("symbol") == "triangle-down"]
    low, high = figure["layout"]["yaxis"]["range"]
    assert triangle["x"] == [10.0]
    assert low < triangle["y"][0] < low + 0.1 * (high - low)
    assert "10.0%" in triangle["hovertext"][0]


def test_a_band_leaves_a_gap_where_there_is_no_interval() -> None:
    figure = panel_of(rates({0.01: (0.8, 0.8), 0.1: (0.8, None), 1.0: (0.9, 0.9), 10.0: (0.7, 0.7)}))
    (band,) = [t for t in figure["data"] if t.get("fill") == "toself"]
    assert band["x"] == [0.01, 0.01, None, 1.0, 10.0, 10.0, 1.0]
    (mean,) = [t for t in figure["data"] if t["mode"] == "lines" and "fill" not in t]
    assert mean["y"] == [pytest.approx(0.8), None, pytest.approx(0.9), pytest.approx(0.7)]


def test_an_outline_runs_there_and_back() -> None:
    shape = outline([([1, 2], [10, 20], [11, 22]), ([4], [40], [44])])
    assert shape["x"] == [1, 2, 2, 1, None, 4, 4]
    assert shape["y"] == [10, 20, 22, 11, None, 40, 44]


def test_curves_are_drawn_as_they_are() -> None:
    record, runs = study(), [*rates({0.1: (0.8, 0.8)}), *finals((0.90, 0.94), 0.1)]
    drawn = curves(record, leaderboard(record, runs), runs)
    band, line = metric_figure(record, drawn)["data"]
    assert (line["x"], line["y"]) == ([1.0, 2.0], [0.5, pytest.approx(0.92)])
    assert band["y"] == [0.5, 0.90, 0.94, 0.5]
    assert line["hovertext"][1] == "<b>adam</b><br>epoch 2: 92.0% (90.0% to 94.0%)"
    assert line["off"]["line"]["color"] == "@behind" != line["on"]["line"]["color"]


def test_a_target_is_a_line_with_its_value() -> None:
    record, rows, runs, _ = parts(Shape(target=0.9))
    layout = metric_figure(record, curves(record, rows, runs))["layout"]
    assert layout["shapes"][0]["y0"] == layout["shapes"][0]["y1"] == 0.9
    assert layout["annotations"][0]["text"] == "target 90%"
    record = replace(record, target=None)
    assert metric_figure(record, curves(record, rows, runs))["layout"]["shapes"] == []


def test_forty_optimizers_look_different() -> None:
    assert len({look(i) for i in range(40)}) == 40
    assert len(DASHES) * COLOURS >= 40
    for dash in DASHES:
        assert dash == "solid" or f".swatch .{dash.replace('2px,6px', chr(92) + '32px-6px')}" in STYLE


@pytest.mark.parametrize(
    "shape",
    [
        Shape(),
        Shape(metric="loss", higher_is_better=False),
        Shape(epochs=1),
        Shape(rates=1, seeds=1, fresh=0, epochs=1),
    ],
)
def test_plotly_knows_every_attribute(shape: Shape) -> None:
    for figure in all_figures(shape):
        traces = [look for trace in figure["data"] for look in _looks(trace)]
        go.Figure({"data": _painted(traces), "layout": _painted(figure["layout"])})


def _looks(trace: dict[str, Any]) -> list[dict[str, Any]]:
    plain = {key: value for key, value in trace.items() if key not in ("series", "on", "off")}
    return [{**plain, **trace.get(state, {})} for state in ("on", "off")]


def _painted(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: _painted(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_painted(v, key) for v in value]
    return "#123456" if isinstance(value, str) and value.startswith("@") and key.endswith("color") else value


def test_the_style_sheet_has_every_colour_in_both_schemes() -> None:
    text = as_json({str(i): figure for i, figure in enumerate(all_figures(Shape()))})
    used = set(re.findall(r'"@([a-z0-9-]+)[" ]', text))
    assert {"leader", "diverged", "behind", "series-0", "page"} <= used
    light, dark = re.findall(r":root[^{]*\{(.*?)\n *\}", STYLE, re.S)
    for scheme in (light, dark):
        assert used <= set(re.findall(r"--([a-z0-9-]+): #[0-9a-f]{6};", scheme))


def test_json_is_strict_and_cannot_end_a_script() -> None:
    text = as_json({"a": {"x": [float("nan"), float("inf"), None, 1.5], "name": "</script><!--"}})
    assert "<" not in text
    assert json.loads(text) == {"a": {"x": [None, None, None, 1.5], "name": "</script><!--"}}
