"""Formats numbers for the report."""

import math

from thalweg.analysis.formatting import is_percent, number, parts, rate_text
from thalweg.analysis.intervals import Interval
from thalweg.records.types import StudyRecord

MISSING = "–"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def value(study: StudyRecord, metric: float | None) -> str:
    """One value of the study's metric: `97.2%`, `0.1432`."""
    if metric is None or math.isnan(metric):
        return MISSING
    return number(study, Interval(metric, math.nan, math.nan, 1))


def spread(study: StudyRecord, interval: Interval | None) -> tuple[str, str]:
    """(mean, spread) of an interval as `number` rounds them: `("97.2%", "± 0.4")`, `("97.2%", "")`, `("–", "")`."""
    if interval is None or not interval.count:
        return MISSING, ""
    mean, rest = parts(study.metric, interval)
    return f"{mean}%" if is_percent(study) else mean, rest


def target(study: StudyRecord) -> str:
    """The study's target without trailing zeros: `95%`."""
    assert study.target is not None
    return f"{study.target * 100:.4g}%" if is_percent(study) else f"{study.target:.4g}"


def signed(study: StudyRecord, amount: float | None) -> str:
    """A change with its sign, accuracies in points: `+0.6`, `−1.2`, `0.0`, `+0.0123`."""
    if amount is None or not math.isfinite(amount):
        return MISSING
    text = f"{amount * 100:+.1f}" if is_percent(study) else f"{amount:+.3g}"
    return text[1:] if float(text) == 0 else text.replace("-", "−", 1) if text[0] == "-" else text


def rate(learning_rate: float | None) -> str:
    """A learning rate to three digits, as in the verdict: `3e-3`."""
    return MISSING if learning_rate is None else rate_text(learning_rate)


def power_of_ten(exponent: int) -> str:
    """Ten to an integer power: `10⁻³`."""
    return f"10{str(exponent).translate(SUPERSCRIPT)}"


def duration(seconds: float) -> str:
    """Seconds in words: `8.4 s`, `2 min 22 s`, `3 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def pace(seconds: float | None) -> str:
    """Seconds per step: `18.2 µs`, `1.2 ms`, `0.41 s`."""
    if seconds is None:
        return MISSING
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def memory(size: int) -> str:
    """Bytes: `1.2 MB`, `640.0 kB`; a dash for 0, which means unknown."""
    if not size:
        return MISSING
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def capital(text: str) -> str:
    """Capitalizes the first letter only."""
    return text[:1].upper() + text[1:]
