"""Formats scores, differences and counts for sentences."""

import math
import re

from thalweg.analysis.intervals import Interval
from thalweg.records.types import StudyRecord


def is_percent(study: StudyRecord) -> bool:
    """Whether the metric is an accuracy, top-K accuracy included, which is printed in percent."""
    return is_accuracy(study.metric)


def is_accuracy(metric: str) -> bool:
    """Whether the name is that of an accuracy, top-K accuracy included."""
    return re.fullmatch("accuracy|top([2-9]|[1-9][0-9]+)", metric) is not None


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
    `("96.8", "96.7, 96.9")`, `("97.2", "")`."""
    scale = 100.0 if is_accuracy(metric) else 1.0
    digits = 1 if is_accuracy(metric) else _digits(interval)

    def text(value: float) -> str:
        return f"{value * scale:.4g}" if digits is None else f"{value * scale:.{digits}f}"

    mean = text(interval.mean)
    if interval.pair is not None:
        return mean, ", ".join(map(text, interval.pair))
    if interval.count < 2 or not math.isfinite(interval.margin):
        return mean, ""
    if interval.cut:
        return mean, f"{text(interval.low)}–{text(interval.high)}"
    return mean, f"± {_margin(interval.margin * scale, digits)}"


def _margin(margin: float, digits: int | None) -> str:
    """A margin at a mean's digits; one that would read as none is `<0.1`."""
    if digits is None:
        return f"{margin:.2g}"
    return f"{margin:.{digits}f}" if margin >= 0.5 / 10**digits else f"<{1 / 10**digits:g}"


def _digits(interval: Interval) -> int | None:
    """Decimals down to the second digit of the margin; `None` for four significant digits, where that says too much."""
    if interval.pair is not None:
        spread = abs(interval.pair[1] - interval.pair[0])
    else:
        spread = interval.margin if interval.count > 1 else 0.0
    if not (math.isfinite(spread) and math.isfinite(interval.mean)) or spread <= 1e-6 * abs(interval.mean):
        return None
    digits = 1 - math.floor(math.log10(spread))
    return digits if 0 <= digits <= 6 and abs(interval.mean) < 1e6 else None


def rate_text(rate: float) -> str:
    """A learning rate as people type it, to three digits at most: `3e-3`, `1.6e-3`, `0.3`, `5`."""
    if not 0 < abs(rate) < 0.0999:
        return f"{rate:.3g}"
    mantissa, _, exponent = f"{rate:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def value_text(study: StudyRecord, value: float) -> str:
    """One value of the study's metric: `97.2%`, `0.1432`."""
    return f"{value:.1%}" if is_percent(study) else f"{value:.4g}"


def size(study: StudyRecord, difference: float) -> str:
    """The size of a difference: `0.6 points`, `0.0123`."""
    return f"{difference * 100:.1f} points" if is_percent(study) else f"{difference:.3g}"


def several(count: int, noun: str) -> str:
    """`1 seed`, `1,200 seeds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
