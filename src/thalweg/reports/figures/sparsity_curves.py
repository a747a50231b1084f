"""Accuracy against sparsity as data: a curve with its band for each method, and the dense models."""

from collections.abc import Sequence
from dataclasses import dataclass

from thalweg.analysis.formatting import is_accuracy, metric_name
from thalweg.analysis.intervals import Interval
from thalweg.analysis.sparsity import SparsityRow
from thalweg.records.sparsity import DENSE, SparsityRecord
from thalweg.reports.figures.scales import Scale, linear_scale

ROOM = 0.06


@dataclass(frozen=True)
class SparsityPoint:
    """x: the place of a sparsity on the axis, from 0. low, high: the ends of the interval, or the mean."""

    x: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class SparsityCurve:
    """One method's points, by ascending sparsity."""

    method: str
    points: tuple[SparsityPoint, ...]


@dataclass(frozen=True)
class SparsityFigure:
    """title, label: of the figure and of its vertical axis; xs: the labels of sparsities, evenly spaced."""

    title: str
    label: str
    y: Scale
    xs: tuple[str, ...]
    dense: SparsityPoint | None
    curves: tuple[SparsityCurve, ...]


def sparsity_figure(record: SparsityRecord, rows: Sequence[SparsityRow]) -> SparsityFigure:
    """The figure of a study; accuracies in percent."""
    factor = 100.0 if is_accuracy(record.metric) else 1.0
    places = {sparsity: i for i, sparsity in enumerate(record.sparsities)}
    dense = next((_point(0, row.metric, factor) for row in rows if row.method == DENSE and row.metric.count), None)
    curves = tuple(
        SparsityCurve(method, points)
        for method in record.methods
        if (points := tuple(_points(method, rows, places, factor)))
    )
    ends = [
        end for p in [*(p for c in curves for p in c.points), *([dense] if dense else [])] for end in (p.low, p.high)
    ]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = ROOM * (high - low) or 0.5
    low, high = low - room, high + room
    if factor == 100.0:
        low, high = max(low, 0.0), min(high, 100.0)
    split = "Test" if record.tested else "Validation"
    return SparsityFigure(
        f"{record.workload}: {metric_name(record.metric)} against sparsity",
        f"{split} {metric_name(record.metric)}{', %' if factor == 100.0 else ''}",
        linear_scale(low, high),
        tuple(f"{sparsity * 100:g}%" for sparsity in record.sparsities),
        dense,
        curves,
    )


def _points(method: str, rows: Sequence[SparsityRow], places: dict[float, int], factor: float) -> list[SparsityPoint]:
    own = [row for row in rows if row.method == method and row.metric.count]
    return [_point(places[row.sparsity], row.metric, factor) for row in own]


def _point(x: int, interval: Interval, factor: float) -> SparsityPoint:
    known = interval.low == interval.low  # not NaN, as of one seed
    low, high = (interval.low, interval.high) if known else (interval.mean, interval.mean)
    return SparsityPoint(x, factor * interval.mean, factor * low, factor * high)
