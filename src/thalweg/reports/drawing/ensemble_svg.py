"""Scores as one SVG, light or dark as the reader's page is: by the number of models, or one row per kind of model."""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thalweg.records.types import StudyRecord
from thalweg.reports.figures.scales import Scale, metric_scale

WIDTH, HEIGHT = 720, 340
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 64, 52
ROW = 64

STYLE = """
  svg { color-scheme: light dark; font: 12px system-ui, sans-serif; background: #fff; color: #1d1d1f }
  text { fill: currentColor } .tick { fill: #5f6368; font-size: 11px } .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #e4e4e7 } .axis { stroke: #8a8d93 } .alone { fill: #8a8d93; fill-opacity: .6 }
  .line { fill: none; stroke: #1f5fbf; stroke-width: 2 } .dot { fill: #1f5fbf }
  .bar { stroke: #1f5fbf; stroke-width: 1.5 }
  .mean { stroke: #8a8d93; stroke-dasharray: 4 4 } .pair { stroke: #8a8d93; stroke-opacity: .35 }
  @media (prefers-color-scheme: dark) {
    svg { background: #17181b; color: #ececf0 } .tick { fill: #a3a6ad } .grid { stroke: #303238 }
    .line, .bar { stroke: #7fb0ff } .dot { fill: #7fb0ff }
  }
"""


@dataclass(frozen=True)
class SizePoint:
    """A mean score of ensembles of so many models. margin: half of its interval, NaN without one."""

    models: int
    score: float
    margin: float


@dataclass(frozen=True)
class ScoreRow:
    """The scores of one kind of model by seed, and the ends of the interval of their mean, NaN without one."""

    name: str
    scores: tuple[float, ...]
    mean: float
    low: float
    high: float


def score_svg(study: StudyRecord, title: str, axis: str, points: Sequence[SizePoint], alone: Sequence[float]) -> str:
    """Scores against the number of models; alone: of each model. axis: what the scores are."""
    ends = [p.score + d for p in points for d in (-p.margin, p.margin) if math.isfinite(d)]
    scale = metric_scale(study, [*alone, *(p.score for p in points), *ends])
    most = max(p.models for p in points)

    def x(models: int) -> float:
        return LEFT + 24 + (models - 1) / max(1, most - 1) * (WIDTH - LEFT - RIGHT - 48)

    def y(score: float) -> float:
        return HEIGHT - BOTTOM - scale.fraction(score) * (HEIGHT - TOP - BOTTOM)

    line = " ".join(f"{x(p.models):.1f},{y(p.score):.1f}" for p in points)
    marks = [_bar(x(p.models), y(p.score - p.margin), y(p.score + p.margin)) for p in points if p.margin == p.margin]
    marks += [f'<circle class="dot" cx="{x(p.models):.1f}" cy="{y(p.score):.1f}" r="3.5"/>' for p in points]
    dots = [f'<circle class="alone" cx="{x(1):.1f}" cy="{y(value):.1f}" r="3"/>' for value in alone]
    one = f"{y(points[0].score):.1f}"
    mean = f'<line class="mean" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{one}" y2="{one}"/>'
    ticks = [
        f'<text class="tick" text-anchor="middle" x="{x(p.models):.1f}" y="{HEIGHT - BOTTOM + 18}">{p.models}</text>'
        for p in points
    ]
    under = f'<text class="tick" text-anchor="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}">models</text>'
    content = [*_grid(scale, y), mean, f'<polyline class="line" points="{line}"/>', *dots, *marks, *ticks, under]
    return _svg(title, axis, HEIGHT, content)


def rows_svg(study: StudyRecord, title: str, axis: str, rows: Sequence[ScoreRow]) -> str:
    """One row per kind of model: a dot per seed, the mean and its interval; axis: what the scores are."""
    ends = [v for row in rows for v in (*row.scores, row.low, row.high) if math.isfinite(v)]
    scale, height = metric_scale(study, ends), TOP + ROW * len(rows) + BOTTOM
    left = 150

    def x(score: float) -> float:
        return left + scale.fraction(score) * (WIDTH - left - RIGHT)

    content = []
    for tick, label in zip(scale.ticks, scale.labels, strict=True):
        at = f"{x(tick):.1f}"
        content.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        content.append(f'<text class="tick" text-anchor="middle" x="{at}" y="{height - BOTTOM + 18}">{label}</text>')
    for i, row in enumerate(rows):
        y = TOP + ROW * (i + 0.5)
        content.append(f'<text x="{left - 14}" y="{y + 4:.1f}" text-anchor="end">{html.escape(row.name)}</text>')
        content += [f'<circle class="alone" cx="{x(v):.1f}" cy="{y + 12:.1f}" r="3"/>' for v in row.scores]
        if math.isfinite(row.low):
            content.append(
                f'<line class="bar" x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
        content.append(f'<circle class="dot" cx="{x(row.mean):.1f}" cy="{y:.1f}" r="4.5"/>')
    return _svg(title, axis, height, content)


def _grid(scale: Scale, y: Callable[[float], float]) -> list[str]:
    found = []
    for tick, label in zip(scale.ticks, scale.labels, strict=True):
        at = f"{y(tick):.1f}"
        found.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        found.append(f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{float(at) + 4:.1f}">{label}</text>')
    return found


def _bar(x: float, low: float, high: float) -> str:
    return f'<line class="bar" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'


def _svg(title: str, axis: str, height: int, content: Sequence[str]) -> str:
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{html.escape(title, quote=True)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="24" y="24">{html.escape(title)}</text>',
        f'<text class="tick" x="24" y="42">{html.escape(axis)}</text>',
        *content,
        "</svg>\n",
    ])  # fmt: skip
