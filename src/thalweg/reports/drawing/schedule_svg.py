"""A schedule's figure as one SVG: a panel for each curve, light or dark as the reader's page is."""

import html

from thalweg.reports.figures.scales import Scale
from thalweg.reports.figures.schedule_curve import ScheduleFigure, ValueCurve

WIDTH, PANEL = 720, 250
LEFT, RIGHT, TOP, BOTTOM, GAP = 68, 18, 56, 48, 34
LONGEST = 84
"""Characters of a title that fit."""

FEW = 60
"""Steps up to which a value is drawn as it holds: a tread of a stair."""

STYLE = """
  svg { color-scheme: light dark; font: 12px system-ui, sans-serif; background: #fff; color: #1d1d1f }
  text { fill: currentColor } .tick { fill: #5f6368 } .title { font-size: 14px; font-weight: 600 }
  .grid { stroke: #e4e4e7 } .axis { stroke: #8a8d93 } .curve { fill: none; stroke: #1f5fbf; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    svg { background: #17181b; color: #ececf0 } .tick { fill: #a3a6ad } .grid { stroke: #303238 }
    .curve { stroke: #7fb0ff }
  }
"""


def svg(figure: ScheduleFigure) -> str:
    """The figure as the text of an SVG file; its whole title is its label, too."""
    height = TOP + len(figure.curves) * PANEL + (len(figure.curves) - 1) * GAP + BOTTOM
    title = html.escape(figure.title if len(figure.title) <= LONGEST else f"{figure.title[: LONGEST - 1]}…")
    tops = [TOP + i * (PANEL + GAP) for i in range(len(figure.curves))]
    panels = [_panel(figure.steps, curve, top) for curve, top in zip(figure.curves, tops, strict=True)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{html.escape(figure.title, quote=True)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="24">{title}</text>',
        *panels,
        _steps(figure.steps, tops[-1] + PANEL),
        "</svg>\n",
    ])  # fmt: skip


def _panel(steps: Scale, curve: ValueCurve, top: int) -> str:
    """One curve with its horizontal grid and label."""
    right, bottom = WIDTH - RIGHT, top + PANEL
    parts: list[str] = []
    for tick, label in zip(curve.axis.ticks, curve.axis.labels, strict=True):
        y = _y(curve.axis, tick, top)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{html.escape(label)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(f'<text class="tick" x="{LEFT + 6}" y="{top - 4}">{html.escape(curve.label)}</text>')
    return "\n".join([*parts, f'<path class="curve" d="{_path(steps, curve, top)}"/>'])


def _path(steps: Scale, curve: ValueCurve, top: int) -> str:
    corners: list[tuple[float, float]] = []
    for i, (step, value) in enumerate(curve.points):
        if i and len(curve.points) <= FEW:
            corners.append((step, curve.points[i - 1][1]))
        corners.append((step, value))
    return "M" + "L".join(f"{_x(steps, step):.2f} {_y(curve.axis, value, top):.2f}" for step, value in corners)


def _steps(scale: Scale, bottom: int) -> str:
    """The axis of steps: ticks, their labels, and its title."""
    parts: list[str] = []
    for tick, label in zip(scale.ticks, scale.labels, strict=True):
        x = _x(scale, tick)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 19}" text-anchor="middle">{html.escape(label)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    return "\n".join([*parts, f'<text x="{middle:g}" y="{bottom + 38}" text-anchor="middle">step</text>'])


def _x(scale: Scale, step: float) -> float:
    return LEFT + scale.fraction(step) * (WIDTH - LEFT - RIGHT)


def _y(scale: Scale, value: float, top: int) -> float:
    return top + (1.0 - scale.fraction(value)) * PANEL
