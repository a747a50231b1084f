"""Range tests as data to be drawn: one panel per optimizer, the loss against the logarithm of its rate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.analysis.range_curve import RangeCurve
from thalweg.analysis.range_finding import RangeFinding
from thalweg.reports.figures.scales import Scale, linear_scale, rates_scale

ABOVE = 1.35
"""Of the fall: how far the axis of losses reaches above the lowest; a curve that goes beyond is cut there."""


@dataclass(frozen=True)
class RangePanel:
    """One optimizer's panel. points: (rate, smoothed loss) while runs go on. interval, suggestion: of its finding,
    `None` where there is none; caption: these in words."""

    optimizer: str
    rates: Scale
    points: tuple[tuple[float, float], ...]
    interval: tuple[float, float] | None
    suggestion: float | None
    divergence: float | None
    caption: str


@dataclass(frozen=True)
class RangeFigure:
    """All panels, on one axis of losses."""

    title: str
    losses: Scale
    panels: tuple[RangePanel, ...]


def range_figure(title: str, found: Sequence[RangeFinding], curves: Mapping[str, RangeCurve]) -> RangeFigure:
    """The panels of those optimizers that were swept and could be trained."""
    swept = [f for f in found if f.optimizer in curves and not curves[f.optimizer].failure]
    lines = {f.optimizer: curves[f.optimizer].smoothed for f in swept}
    finite = [line[np.isfinite(line)] for line in lines.values()]
    starts, lows = [float(line[0]) for line in finite if len(line)], [float(line.min()) for line in finite if len(line)]
    low, start = min(lows, default=0.0), max(starts, default=1.0)
    high = low + ABOVE * ((start - low) or abs(low) or 1.0)
    panels = tuple(_panel(f, curves[f.optimizer].rates.tolist(), lines[f.optimizer].tolist()) for f in swept)
    return RangeFigure(title, linear_scale(low - 0.04 * (high - low), high), panels)


def _panel(finding: RangeFinding, rates: list[float], line: list[float]) -> RangePanel:
    points = tuple((r, v) for r, v in zip(rates, line, strict=True) if math.isfinite(v))
    shown = [rates[0], rates[-1], *(finding.interval or ())]
    return RangePanel(
        finding.optimizer,
        rates_scale([min(shown), max(shown)]),
        points,
        finding.interval,
        finding.suggestion,
        finding.divergence,
        _caption(finding),
    )


def _caption(finding: RangeFinding) -> str:
    if finding.suggestion is None or finding.interval is None:
        return "nothing found"
    mark = "" if finding.verified else ", corrected" if finding.trials else ", not verified"
    return f"{finding.suggestion:.3g} ({finding.interval[0]:.2g} to {finding.interval[1]:.2g}){mark}"
