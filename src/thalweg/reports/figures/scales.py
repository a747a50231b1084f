"""Axes as data: range, linear or logarithmic, ticks and their labels."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from thalweg.analysis.formatting import is_percent
from thalweg.records.types import StudyRecord
from thalweg.reports.figures.formatting import power_of_ten

REACH = 2.5  # range of an axis, in upper quartiles of the distance to the best value; values beyond are outliers
WIDE = 50.0  # ratio of largest to smallest positive value above which the axis is logarithmic
HUGE = 1e100  # values of at least this size, including infinity, are not used for an axis
MARGIN = 0.06  # of the values' range, beyond the outermost value


@dataclass(frozen=True)
class Scale:
    """One axis. low, high: in the data's units, also for a logarithmic axis."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]
    labels: tuple[str, ...]

    def fraction(self, value: float) -> float:
        """Position of a value on the axis: 0 at the low end, 1 at the high end, outside [0, 1] beyond them."""
        low, high, at = (self._warp(v) for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def at(self, fraction: float) -> float:
        """The value at a fraction of the axis; inverse of `fraction`."""
        low, high = self._warp(self.low), self._warp(self.high)
        place = low + fraction * (high - low)
        return 10.0**place if self.log else place

    def _warp(self, value: float) -> float:
        if not self.log:
            return value
        return math.log10(value) if value > 0 else -math.inf


def rates_scale(rates: Iterable[float]) -> Scale:
    """The logarithmic axis of learning rates; non-positive rates are ignored."""
    known = sorted({rate for rate in rates if rate > 0})
    first, last = (math.log10(known[0]), math.log10(known[-1])) if known else (-3.0, -1.0)
    spare = max(0.06 * (last - first), 0.5 if last - first < 1 else 0.25)
    return _log_scale(first - spare, last + spare)


def metric_scale(study: StudyRecord, values: Iterable[float | None]) -> Scale:
    """The axis of the study's metric; far outliers on the worse side lie outside."""
    finite = _finite(values)
    if is_percent(study):
        low, high = _ends(finite, study.higher_is_better)
        low = low if finite and min(finite) < 0 else max(low, 0.0)
        high = high if finite and max(finite) > 1 else min(high, 1.0)
        return _linear_scale(low, high, lambda v, digits: f"{v * 100:.{max(digits - 2, 0)}f}%")
    return _free_scale(finite, study.higher_is_better)


def loss_scale(values: Iterable[float | None]) -> Scale:
    """The axis of a training loss: logarithmic unless a loss is not positive."""
    finite = _finite(values)
    if finite and min(finite) > 0:
        low, high = _ends([math.log10(v) for v in finite], higher_is_better=False)
        return _log_scale(low, high)
    return _free_scale(finite, higher_is_better=False)


def linear_scale(low: float, high: float) -> Scale:
    """A linear axis with plain numbers at its ticks. low < high."""
    thousands = max(abs(low), abs(high)) >= 1000 and high - low >= 10
    return _linear_scale(low, high, lambda v, digits: f"{v:,.{digits}f}" if thousands else f"{v:.6g}")


def _free_scale(values: Sequence[float], higher_is_better: bool) -> Scale:
    if values and min(values) > 0 and max(values) > WIDE * min(values):
        return _log_scale(*_ends([math.log10(v) for v in values], higher_is_better))
    low, high = _ends(values, higher_is_better)
    if values and min(values) >= 0:
        low = max(low, 0.0)
    plain = max(abs(low), abs(high)) < 1e6 and high - low > 1e-3
    return _linear_scale(low, high, lambda v, digits: f"{v:,.{digits}f}" if plain else f"{v:.3g}")


def _finite(values: Iterable[float | None]) -> list[float]:
    return [v for v in values if v is not None and abs(v) < HUGE]


def _ends(values: Sequence[float], higher_is_better: bool) -> tuple[float, float]:
    """(low, high): the best value and, on the worse side, the worst that is no outlier, each plus a margin."""
    if not values:
        return 0.0, 1.0
    sign = 1.0 if higher_is_better else -1.0
    best = max(sign * v for v in values)
    gaps = sorted(best - sign * v for v in values)
    reach = REACH * gaps[(3 * (len(gaps) - 1) + 3) // 4]
    worst = best - (max(g for g in gaps if g <= reach) if reach else gaps[-1])
    room = MARGIN * (best - worst) or 0.05 * abs(best) or 0.5
    low, high = sorted((sign * (worst - room), sign * (best + room)))
    return low, high


def _linear_scale(low: float, high: float, label: Callable[[float, int], str]) -> Scale:
    """A linear axis. label: formats (value, decimals)."""
    ticks, digits = _round_ticks(low, high)
    return Scale(low, high, False, ticks, tuple(label(tick, digits) for tick in ticks))


def _round_ticks(low: float, high: float) -> tuple[tuple[float, ...], int]:
    """Two to six round tick values, and the decimals they need."""
    least = (high - low) / 5.5
    exponent = math.floor(math.log10(least))
    multiple = next(m for m in (1, 2, 2.5, 5, 10) if m * 10.0**exponent >= least)
    step = multiple * 10.0**exponent
    count = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    digits = max(0, -exponent + (multiple == 2.5) - (multiple == 10))
    return tuple(round(k * step, digits) for k in count), digits


def _log_scale(low: float, high: float) -> Scale:
    """A logarithmic axis; low, high: log10 of the ends. Ticks are powers of ten, thinned to at most six; below two
    decades multiples 1, 2, 5 of them; below 0.8 decades evenly spaced round numbers."""
    if high - low < 0.05:
        low, high = low - 0.05, high + 0.05
    if high - low >= 2:
        decades = range(math.ceil(low), math.floor(high) + 1)
        every = math.ceil(len(decades) / 6)
        shown = [k for k in decades if (k - decades[-1]) % every == 0]
        plain = max(map(abs, shown), default=0) <= 3
        labels = tuple(f"{10.0**k:g}" if plain else power_of_ten(k) for k in shown)
        return Scale(10.0**low, 10.0**high, True, tuple(10.0**k for k in shown), labels)
    if high - low < 0.8:
        ticks, _ = _round_ticks(10.0**low, 10.0**high)
    else:
        steps = [m * 10.0**k for k in range(math.floor(low), math.floor(high) + 1) for m in (1, 2, 5)]
        ticks = tuple(t for t in steps if low <= math.log10(t) <= high)
    return Scale(10.0**low, 10.0**high, True, ticks, tuple(f"{t:.3g}" for t in ticks))
