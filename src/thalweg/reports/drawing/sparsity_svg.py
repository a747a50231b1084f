"""Accuracy against sparsity as one SVG, light or dark as the reader's page is."""

import html
import itertools

from thalweg.reports.figures.sparsity_curves import SparsityCurve, SparsityFigure, SparsityPoint

WIDTH, PANEL = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 62, 46
LEAST_GAP = 15
"""Pixels between two methods' names."""

STYLE = """
  svg { color-scheme: light dark; font: 12px system-ui, sans-serif; background: #fff; color: #1d1d1f }
  text { fill: currentColor } .tick { fill: #5f6368 } .title { font-size: 14px; font-weight: 600 }
  .grid { stroke: #e4e4e7 } .axis { stroke: #8a8d93 } .dense { stroke: #5f6368; stroke-dasharray: 5 4 }
  .wash { fill: #5f6368; fill-opacity: .10 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round } .band { fill-opacity: .16; stroke: none }
  .s0 { stroke: #1668a0; fill: #1668a0 } .s1 { stroke: #d55e00; fill: #d55e00 } .s2 { stroke: #00866a; fill: #00866a }
  .s3 { stroke: #b5588f; fill: #b5588f } .s4 { stroke: #c98a00; fill: #c98a00 }
  path.line { fill: none } path.band { stroke: none } circle { stroke: none }
  text.name { stroke: none; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    svg { background: #17181b; color: #ececf0 } .tick { fill: #a3a6ad } .grid { stroke: #303238 }
    .s0 { stroke: #62b4ec; fill: #62b4ec } .s1 { stroke: #ff8f4c; fill: #ff8f4c }
    .s2 { stroke: #35c4a0; fill: #35c4a0 } .s3 { stroke: #e08cc0; fill: #e08cc0 } .s4 { stroke: #e8bc4a; fill: #e8bc4a }
    path.line { fill: none }
  }
"""


def sparsity_svg(figure: SparsityFigure) -> str:
    """The figure as the text of an SVG file: lines of means, bands of 95% intervals, dashes for dense models."""
    height = TOP + PANEL + BOTTOM
    ends = [_y(figure, point.mean) for point in (figure.dense, *(c.points[-1] for c in figure.curves)) if point]
    places = _spread(ends)
    names = places[len(places) - len(figure.curves) :]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{html.escape(figure.title, quote=True)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="22">{html.escape(figure.title)}</text>',
        f'<text class="tick" x="{LEFT}" y="40">{html.escape(figure.label)}; bands: 95% intervals of the mean over'
        " seeds</text>",
        *_axes(figure),
        *_dense(figure, places[0] if places else 0.0),
        *(_curve(figure, i, curve, names[i]) for i, curve in enumerate(figure.curves)),
        "</svg>\n",
    ])  # fmt: skip


def _axes(figure: SparsityFigure) -> list[str]:
    right, bottom = WIDTH - RIGHT, TOP + PANEL
    parts: list[str] = []
    for tick, label in zip(figure.y.ticks, figure.y.labels, strict=True):
        y = _y(figure, tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{html.escape(label)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    for i, label in enumerate(figure.xs):
        x = _x(figure, i)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{html.escape(label)}</text>'
        )
    middle = (LEFT + right) / 2
    return [
        *parts,
        f'<text class="tick" x="{middle:.1f}" y="{bottom + 36}" text-anchor="middle">weights at zero</text>',
    ]


def _dense(figure: SparsityFigure, name: float) -> list[str]:
    if figure.dense is None:
        return []
    right = WIDTH - RIGHT
    top, middle, bottom = (_y(figure, v) for v in (figure.dense.high, figure.dense.mean, figure.dense.low))
    return [
        f'<rect class="wash" x="{LEFT}" width="{right - LEFT}" y="{top:.1f}" height="{bottom - top:.1f}"/>',
        f'<line class="dense" x1="{LEFT}" x2="{right}" y1="{middle:.1f}" y2="{middle:.1f}"/>',
        f'<text class="tick" x="{_x(figure, len(figure.xs) - 1) + 10:.1f}" y="{name + 4:.1f}">dense</text>',
    ]


def _curve(figure: SparsityFigure, i: int, curve: SparsityCurve, name: float) -> str:
    points, kind = curve.points, f"s{i % 5}"
    line = "L".join(_at(figure, p, p.mean) for p in points)
    band = "L".join([*(_at(figure, p, p.high) for p in points), *(_at(figure, p, p.low) for p in reversed(points))])
    dots = "".join(
        f'<circle class="{kind}" cx="{_x(figure, p.x):.1f}" cy="{_y(figure, p.mean):.1f}" r="3"/>' for p in points
    )
    x = _x(figure, points[-1].x) + 10
    return (
        f'<g><title>{html.escape(curve.method)}</title><path class="band {kind}" d="M{band}Z"/>'
        f'<path class="line {kind}" d="M{line}"/>{dots}'
        f'<text class="name {kind}" x="{x:.1f}" y="{name + 4:.1f}">{html.escape(curve.method)}</text></g>'
    )


def _spread(places: list[float]) -> list[float]:
    """The places, moved apart until none overlaps the next, in their order and within the panel."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    out = [*places]
    for before, i in itertools.pairwise(order):
        out[i] = max(out[i], out[before] + LEAST_GAP)
    over = max(0.0, out[order[-1]] - (TOP + PANEL)) if order else 0.0
    for i in reversed(order):
        out[i] -= over
        over = max(0.0, over - (out[i] + over - places[i])) if over else 0.0
    return out


def _at(figure: SparsityFigure, point: SparsityPoint, value: float) -> str:
    return f"{_x(figure, point.x):.1f} {_y(figure, value):.1f}"


def _x(figure: SparsityFigure, place: int) -> float:
    last = max(1, len(figure.xs) - 1)
    return LEFT + 24 + place / last * (WIDTH - LEFT - RIGHT - 48)


def _y(figure: SparsityFigure, value: float) -> float:
    return TOP + (1.0 - min(1.0, max(0.0, figure.y.fraction(value)))) * PANEL
