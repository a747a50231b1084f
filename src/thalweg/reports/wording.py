"""How numbers and lists of names read in the report."""

import math
from collections.abc import Sequence

from thalweg.analysis.intervals import Interval
from thalweg.analysis.verdict import number
from thalweg.records.types import StudyRecord

MISSING = "–"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_percent(study: StudyRecord) -> bool:
    """Accuracies read in percent; other metrics as they are."""
    return study.metric == "accuracy"


def value(study: StudyRecord, metric: float | None) -> str:
    """One value of the study's metric: `97.2%`, `0.1432`."""
    if metric is None or math.isnan(metric):
        return MISSING
    return number(study, Interval(metric, math.nan, math.nan, 1))


def spread(study: StudyRecord, interval: Interval | None) -> tuple[str, str]:
    """(mean, margin) of an interval as `number` rounds them: `("97.2%", "± 0.4")`, `("97.2%", "")`, `("–", "")`."""
    if interval is None or not interval.count:
        return MISSING, ""
    mean, found, margin = number(study, interval).partition(" ± ")
    if not found:
        return mean, ""
    unit = "%" if margin.endswith("%") else ""
    return mean + unit, f"± {margin.removesuffix(unit)}"


def target(study: StudyRecord) -> str:
    """The study's target, without the decimals it does not need: `95%`."""
    assert study.target is not None
    return f"{study.target * 100:.4g}%" if is_percent(study) else f"{study.target:.4g}"


def difference(study: StudyRecord, amount: float) -> str:
    """The size of a difference: `0.6 points`, `0.0123`."""
    return f"{amount * 100:.1f} points" if is_percent(study) else f"{amount:.3g}"


def signed(study: StudyRecord, amount: float | None) -> str:
    """A change with its sign, accuracies in points: `+0.6`, `−1.2`, `0.0`, `+0.0123`."""
    if amount is None or not math.isfinite(amount):
        return MISSING
    text = f"{amount * 100:+.1f}" if is_percent(study) else f"{amount:+.3g}"
    return text[1:] if float(text) == 0 else text.replace("-", "−", 1) if text[0] == "-" else text


def rate(learning_rate: float | None) -> str:
    """A learning rate as the verdict writes it."""
    return MISSING if learning_rate is None else f"{learning_rate:.3g}"


def power_of_ten(exponent: int) -> str:
    """`10⁻³`."""
    return f"10{str(exponent).translate(SUPERSCRIPT)}"


def duration(seconds: float) -> str:
    """`8.4 s`, `2 min 22 s`, `3 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def pace(seconds: float | None) -> str:
    """Seconds of one step: `18.2 µs`, `1.2 ms`, `0.41 s`."""
    if seconds is None:
        return MISSING
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def memory(size: int) -> str:
    """Bytes: `1.2 MB`, `640 kB`; a dash where they are not known."""
    if not size:
        return MISSING
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def several(count: int, noun: str) -> str:
    """`1 seed`, `1,200 seeds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """`a, b and c`; beyond `most`, `a, b and 12 others`."""
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} others"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def capital(text: str) -> str:
    """The first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]
