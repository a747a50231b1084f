"""Formats scores, differences and counts for sentences."""

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
    """A mean with its margin, accuracies in percent: `97.2 ± 0.4%`."""
    return number_of(study.metric, interval)


def number_of(metric: str, interval: Interval) -> str:
    """As `number`, of a metric of that name."""
    percent = is_accuracy(metric)
    scale, unit = (100.0, "%") if percent else (1.0, "")
    form = ".1f" if percent else ".4g"
    margin = "" if interval.count < 2 else f" ± {interval.margin * scale:{'.1f' if percent else '.2g'}}"
    return f"{interval.mean * scale:{form}}{margin}{unit}"


def size(study: StudyRecord, difference: float) -> str:
    """The size of a difference: `0.6 points`, `0.0123`."""
    return f"{difference * 100:.1f} points" if is_percent(study) else f"{difference:.3g}"


def several(count: int, noun: str) -> str:
    """`1 seed`, `1,200 seeds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
