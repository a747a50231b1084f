"""Range tests as one SVG of small multiples, light or dark as the reader's page is."""

import html

from thalweg.reports.figures.range_panels import RangeFigure, RangePanel
from thalweg.reports.figures.scales import Scale

ACROSS, PANEL_WIDTH, PANEL_HEIGHT = 3, 236, 128
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 84, 34
GAP_X, GAP_Y = 18, 66
LONGEST = 30
"""Characters of an optimizer's name that fit."""

STYLE = """
  svg { color-scheme: light dark; font: 12px system-ui, sans-serif; background: #fff; color: #1d1d1f }
  text { fill: currentColor } .tick { fill: #5f6368; font-size: 11px } .title { font-size: 15px; font-weight: 600 }
  .name { font-weight: 600 } .grid { stroke: #e4e4e7 } .axis { stroke: #8a8d93 }
  .curve { fill: none; stroke: #1f5fbf; stroke-width: 2; stroke-linejoin: round }
  .interval { fill: #2e8b57; fill-opacity: .16 } .best { stroke: #1b7a46; stroke-width: 1.5 }
  .edge { stroke: #b3422f; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) {
    svg { background: #17181b; color: #ececf0 } .tick { fill: #a3a6ad } .grid { stroke: #303238 }
    .curve { stroke: #7fb0ff } .interval { fill: #5fd39a; fill-opacity: .2 } .best { stroke: #5fd39a }
    .edge { stroke: #f08a76 }
  }
"""


def range_svg(figure: RangeFigure) -> str:
    """The figure as the text of an SVG file: intervals shaded, a line at each suggestion, dashes at divergence."""
    columns, rows = min(ACROSS, max(1, len(figure.panels))), -(-len(figure.panels) // ACROSS)
    width = LEFT + ACROSS * PANEL_WIDTH + (ACROSS - 1) * GAP_X + RIGHT
    height = TOP + rows * PANEL_HEIGHT + max(0, rows - 1) * GAP_Y + BOTTOM
    panels = [_panel(figure.losses, panel, *divmod(i, columns)) for i, panel in enumerate(figure.panels)]
    title = html.escape(figure.title)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label="{html.escape(figure.title, quote=True)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="24">{title}</text>',
        f'<text class="tick" x="{LEFT}" y="42">Training loss of a batch against the learning rate; shaded: the'
        " interval; line: the suggestion; dashes: the edge of divergence.</text>",
        *panels,
        "</svg>\n",
    ])  # fmt: skip


def _panel(losses: Scale, panel: RangePanel, row: int, column: int) -> str:
    """One optimizer's panel at its place in the grid."""
    x, y = LEFT + column * (PANEL_WIDTH + GAP_X), TOP + row * (PANEL_HEIGHT + GAP_Y)
    name = panel.optimizer if len(panel.optimizer) <= LONGEST else f"{panel.optimizer[: LONGEST - 1]}…"
    return "\n".join([
        f'<g transform="translate({x} {y})"><title>{html.escape(f"{panel.optimizer}: {panel.caption}")}</title>',
        f'<text class="name" y="-21">{html.escape(name)}</text>',
        f'<text class="tick" y="-7">{html.escape(panel.caption)}</text>',
        *_loss_axis(losses, labelled=column == 0),
        *_marks(panel),
        f'<path class="curve" d="{_path(losses, panel)}"/>',
        *_rate_axis(panel.rates),
        "</g>",
    ])  # fmt: skip


def _loss_axis(losses: Scale, *, labelled: bool) -> list[str]:
    parts: list[str] = []
    for tick, label in zip(losses.ticks, losses.labels, strict=True):
        y = _y(losses, tick)
        parts.append(f'<line class="grid" x2="{PANEL_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        if labelled:
            parts.append(f'<text class="tick" x="-7" y="{y + 4:.1f}" text-anchor="end">{html.escape(label)}</text>')
    return parts


def _rate_axis(rates: Scale) -> list[str]:
    parts = [f'<line class="axis" x2="{PANEL_WIDTH}" y1="{PANEL_HEIGHT}" y2="{PANEL_HEIGHT}"/>']
    for tick, label in zip(rates.ticks, rates.labels, strict=True):
        x = _x(rates, tick)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{PANEL_HEIGHT}" y2="{PANEL_HEIGHT + 4}"/>')
        middle = f'<text class="tick" x="{x:.1f}" y="{PANEL_HEIGHT + 17}" text-anchor="middle">'
        parts.append(f"{middle}{html.escape(label)}</text>")
    return parts


def _marks(panel: RangePanel) -> list[str]:
    """The interval, the suggestion and the edge of divergence."""
    parts: list[str] = []
    if panel.interval is not None:
        low, high = (_x(panel.rates, rate) for rate in panel.interval)
        parts.append(f'<rect class="interval" x="{low:.1f}" width="{high - low:.1f}" height="{PANEL_HEIGHT}"/>')
    for kind, rate in (("best", panel.suggestion), ("edge", panel.divergence)):
        if rate is not None:
            x = _x(panel.rates, rate)
            parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y2="{PANEL_HEIGHT}"/>')
    return parts


def _path(losses: Scale, panel: RangePanel) -> str:
    """The curve, to where it leaves the panel for the first time."""
    beyond = next((i for i, (_, loss) in enumerate(panel.points) if loss > losses.high), len(panel.points))
    corners = (
        f"{_x(panel.rates, rate):.1f} {max(0.0, _y(losses, loss)):.1f}" for rate, loss in panel.points[: beyond + 1]
    )
    return "M" + "L".join(corners)


def _x(rates: Scale, rate: float) -> float:
    return rates.fraction(rate) * PANEL_WIDTH


def _y(losses: Scale, loss: float) -> float:
    return (1.0 - losses.fraction(loss)) * PANEL_HEIGHT
