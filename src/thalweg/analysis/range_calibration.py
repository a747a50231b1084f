"""From a range test's features to an interval of learning rates, calibrated on tasks whose best rates are known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thalweg.analysis.conformal import conformal_quantile
from thalweg.analysis.range_curve import RangeFeatures

CLOSE = 0.01  # of the lowest loss: rates this near to it count as good
RIDGE = 30.0  # the penalty of the fit, in tasks of one standard deviation
SHARED = 5.0  # tasks' worth of all optimizers' spread in that of one
FURTHEST = 2.0  # decades: the most that a feature is taken to lie away from the middle of the fall
DEEPEST = 2.0  # decades: the most that a loss is taken to fall
FEATURES = ("bottom", "divergence", "depth")
"""Chosen by leaving out each data set in turn. The length of a run, its epochs and its batch were of no use."""


@dataclass(frozen=True)
class RangeTask:
    """A reference task. good: the rates whose validation loss after a whole run lies within `CLOSE` of the lowest on a
    dense grid."""

    model: str
    data: str
    optimizer: str
    features: RangeFeatures
    good: tuple[float, ...]


@dataclass(frozen=True)
class RangeInterval:
    """Learning rates that contain a good one as often as calibrated, and the best guess."""

    low: float
    suggestion: float
    high: float


@dataclass(frozen=True)
class RangeCalibration:
    """The best rate as a linear function of features, in decades, and how far from it good rates lie.

    weights: feature → its weight. offsets: optimizer → decades. reaches: optimizer → decades to either side;
    reach_unknown: for others, whose offset is 0. coverage: how often an interval holds a good rate. source: where the
    numbers come from.
    """

    weights: Mapping[str, float]
    intercept: float
    offsets: Mapping[str, float]
    reaches: Mapping[str, float]
    reach_unknown: float
    coverage: float
    source: Mapping[str, Any] = field(default_factory=dict)

    def predicted(self, features: RangeFeatures, optimizer: str) -> float:
        """log10 of the best rate."""
        values = decades(features)
        linear = sum(self.weights[name] * values[name] for name in FEATURES)
        return _middle(features) + self.intercept + linear + self.offsets.get(optimizer, 0.0)

    def interval(self, features: RangeFeatures, optimizer: str) -> RangeInterval:
        """The interval of good rates of an optimizer, by the catalogue's name."""
        at = self.predicted(features, optimizer)
        reach = self.reaches.get(optimizer, self.reach_unknown)
        return RangeInterval(10 ** (at - reach), 10**at, 10 ** (at + reach))


def decades(features: RangeFeatures) -> dict[str, float]:
    """The features, in decades: rates from the middle of the fall, and how far the loss falls.

    A loss that falls to zero, or is not positive, counts as falling by `DEEPEST`.
    """
    middle, end = _middle(features), features.last if features.divergence is None else features.divergence
    near = {"bottom": math.log10(features.levels[-1]) - middle, "divergence": math.log10(end) - middle}
    depth = math.log10(features.lowest / features.start) if min(features.lowest, features.start) > 0 else -math.inf
    return {**{name: _clipped(value, FURTHEST) for name, value in near.items()}, "depth": _clipped(depth, DEEPEST)}


def _clipped(value: float, most: float) -> float:
    return min(max(value, -most), most)


def distance(predicted: float, good: Sequence[float]) -> float:
    """Decades from a predicted log10 rate to the nearest good rate."""
    return min(abs(math.log10(rate) - predicted) for rate in good)


def calibrate(
    pairs: Sequence[Sequence[RangeTask]],
    coverage: float,
    source: Mapping[str, Any] | None = None,
    *,
    unknown: bool = True,
) -> RangeCalibration:
    """Fits the prediction to tasks, and its reaches by cross-conformal prediction.

    The score of a task is its distance from the prediction of a fit that has seen neither its data nor its model, in
    units of its optimizer's spread by that fit. The reach for optimizers that no task has comes from fits that have not
    seen a task's optimizer either.

    pairs: the tasks of each pair of model and data, which are a group of scores. unknown: whether the latter reach is
    wanted, which takes longer; otherwise it is infinite. Raises `ValueError` where all pairs share a model or data with
    one of them, which no fit could predict then.
    """
    known, others_known, tasks = [], [], [t for own in pairs for t in own]
    for own in pairs:
        others = [t for t in tasks if t.model != own[0].model and t.data != own[0].data]
        if not others:
            raise ValueError(f"no tasks of other models and other data than {own[0].model} on {own[0].data}")
        fit = _fit(others)
        spread = _spread(fit, others)
        known.append([_distance(fit, t) / spread[t.optimizer] for t in own])
        if unknown:
            others_known.append([_distance(_fit([o for o in others if o.optimizer != t.optimizer]), t) for t in own])
    best, share = _fit(tasks), conformal_quantile(known, coverage)
    reaches = {name: share * each for name, each in _spread(best, tasks).items()}
    wider = conformal_quantile(others_known, coverage)
    return RangeCalibration(best.weights, best.intercept, best.offsets, reaches, wider, coverage, source or {})


def _distance(calibration: RangeCalibration, task: RangeTask) -> float:
    return distance(calibration.predicted(task.features, task.optimizer), task.good)


def _spread(of: RangeCalibration, tasks: Sequence[RangeTask]) -> dict[str, float]:
    """Optimizer → root mean square distance in decades, of few tasks drawn towards that of all."""
    squares = {name: [_distance(of, t) ** 2 for t in tasks if t.optimizer == name] for name in of.offsets}
    pooled = sum(map(sum, squares.values())) / len(tasks)
    return {n: math.sqrt((sum(own) + SHARED * pooled) / (len(own) + SHARED)) for n, own in squares.items()}


def _fit(tasks: Sequence[RangeTask]) -> RangeCalibration:
    """Ridge regression of the middle of the good rates, with an offset for every optimizer."""
    names = sorted({t.optimizer for t in tasks})
    rows = [decades(t.features) for t in tasks]
    linear = np.array([[row[name] for name in FEATURES] for row in rows])
    centre, spread = linear.mean(axis=0), linear.std(axis=0) + 1e-9
    which = np.array([[float(t.optimizer == name) for name in names] for t in tasks])
    design = np.hstack([(linear - centre) / spread, which])
    target = np.array([_centre(t.good) - _middle(t.features) for t in tasks])
    mean = float(target.mean())
    found = np.linalg.solve(design.T @ design + RIDGE * np.eye(design.shape[1]), design.T @ (target - mean))
    weights = found[: len(FEATURES)] / spread
    offsets = dict(zip(names, found[len(FEATURES) :].tolist(), strict=True))
    named = dict(zip(FEATURES, weights.tolist(), strict=True))
    return RangeCalibration(named, mean - float(weights @ centre), offsets, {}, math.nan, math.nan)


def _middle(features: RangeFeatures) -> float:
    """log10 of the rate at half of the fall."""
    return math.log10(features.levels[len(features.levels) // 2])


def _centre(good: Sequence[float]) -> float:
    return float(np.mean([math.log10(rate) for rate in good]))
