"""Formats scores, differences and counts for sentences."""

import math

from thalweg.analysis.intervals import Interval
from thalweg.options.metric_kinds import is_accuracy as is_accuracy
from thalweg.records.types import StudyRecord

LEAST = 0.0005  # of a share: a margin below it would read as none
FINEST, LARGEST = 6, 6  # decimals, and digits before the point, of numbers that are not written by powers of ten

NAMES = {
    "mse": "MSE",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "f1": "F1",
    "auroc": "AUROC",
    "bits_per_character": "bits per character",
}
"""Metric → how it is written, where that is not its name."""


def metric_name(metric: str) -> str:
    """A metric's name as it is written in sentences and headings: `MSE`, `top-5 accuracy`, `accuracy`."""
    if is_accuracy(metric) and metric != "accuracy":
        return f"top-{metric.removeprefix('top')} accuracy"
    return NAMES.get(metric, metric)


def is_percent(study: StudyRecord) -> bool:
    """Whether the metric is an accuracy, top-K accuracy included, which is printed in percent."""
    return is_accuracy(study.metric)


def number(study: StudyRecord, interval: Interval) -> str:
    """A mean with its margin, accuracies in percent: `97.2 ± 0.4%`; see `number_of`."""
    return number_of(study.metric, interval)


def number_of(metric: str, interval: Interval) -> str:
    """A metric's mean with its 95% interval.

    `97.2 ± 0.4%`, `0.029 ± 0.016`; of two seeds both values, `96.7, 96.9%`; where the interval ends at what the metric
    can be, its ends, `73.5% (28.8–100.0%)`; of one seed the mean.
    """
    mean, rest = parts(metric, interval)
    unit = "%" if is_accuracy(metric) else ""
    if interval.pair is not None:
        return f"{rest}{unit}"
    if rest.startswith("±"):
        return f"{mean} {rest}{unit}"
    return f"{mean}{unit} ({rest}{unit})" if rest else f"{mean}{unit}"


def parts(metric: str, interval: Interval) -> tuple[str, str]:
    """(mean, what is known of its spread), without a unit: `("97.2", "± 0.4")`, `("73.5", "28.8–100.0")`,
    `("96.8", "96.7, 96.9")`, `("97.2", "")`. The last digit of a mean is that of its margin."""
    margin = interval.margin if interval.count > 1 else 0.0
    spread = interval.pair[1] - interval.pair[0] if interval.pair else margin
    percent = is_accuracy(metric)

    def text(value: float) -> str:
        return f"{value * 100:.1f}" if percent else _to_the_margin(value, spread)[0]

    if interval.pair is not None:
        return text(interval.mean), ", ".join(map(text, interval.pair))
    if interval.count < 2 or not math.isfinite(margin):
        return text(interval.mean), ""
    if interval.cut:
        return text(interval.mean), f"{text(interval.low)}–{text(interval.high)}"
    small = percent and margin < LEAST
    known = text(margin) if percent else _to_the_margin(interval.mean, margin)[1]
    return text(interval.mean), "± <0.1" if small else f"± {known}"


def rate_text(rate: float) -> str:
    """A learning rate as people type it, to three digits at most: `3e-3`, `1.6e-3`, `0.3`, `5`."""
    if not 0 < abs(rate) < 0.0999:
        return f"{rate:.3g}"
    mantissa, _, exponent = f"{rate:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def value_text(study: StudyRecord, value: float) -> str:
    """One value of the study's metric: `97.2%`, `0.1432`."""
    return f"{value:.1%}" if is_percent(study) else f"{value:.4g}"


def _to_the_margin(mean: float, margin: float) -> tuple[str, str]:
    """A mean and its margin to two digits, both to the same place; to four digits where the margin says nothing."""
    if not (math.isfinite(mean) and math.isfinite(margin) and margin > 0):
        return f"{mean:.4g}", f"{margin:.2g}"
    last = _exponent(float(f"{margin:.1e}")) - 1  # the place of the margin's second digit
    first = _exponent(mean) if mean else last
    if last >= -FINEST and max(first, last + 1) < LARGEST:
        places = max(0, -last)
        return f"{mean:.{places}f}", f"{margin:.{places}f}"
    return f"{mean:.{min(max(first - last + 1, 1), LARGEST)}g}", f"{margin:.2g}"


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def size(study: StudyRecord, difference: float) -> str:
    """The size of a difference: `0.6 points`, `<0.1 points`, `0.0123`."""
    if not is_percent(study):
        return f"{difference:.3g}"
    return "<0.1 points" if 0 < difference < 0.0005 else f"{difference * 100:.1f} points"


def several(count: int, noun: str) -> str:
    """`1 seed`, `1,200 seeds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
