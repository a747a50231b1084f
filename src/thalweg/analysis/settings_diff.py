"""Settings that differ between two studies, and the check that the studies are comparable."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from thalweg.errors import InputError
from thalweg.records.types import StudyRecord

SAME = {
    "workload": "workloads",
    "metric": "metrics",
    "higher_is_better": "directions of the metric",
    "protocol": "protocols",
}
"""Fields that must be equal → their plural in error messages."""

FOUND = ("notes", "plan.expected", "plan.pace", "request", "factors", "calls", "started", "seconds", "findings")
"""Fields that are no settings: results, estimates and times, the request, which repeats other fields, and the factors
and calls, which each contender's arm has."""


@dataclass(frozen=True)
class SettingChange:
    """One setting that differs. field: its name in the record, such as `samples.test` for an entry of a mapping.

    before, after: the values; `None` where the study lacks the field.
    """

    field: str
    before: Any
    after: Any


def require_one_question(before: StudyRecord, after: StudyRecord) -> None:
    """Raises `InputError` where workload, metric, its direction or protocol differ, or no contender is common."""
    for field, plural in SAME.items():
        a, b = getattr(before, field), getattr(after, field)
        if a != b:
            raise InputError(
                f"The studies answer different questions, their {plural} differ ({a!r} and {b!r}): give two studies "
                f"with one {field.replace('_', ' ')}."
            )
    if not set(before.contenders) & set(after.contenders):
        raise InputError("The studies have no contender in common, so nothing can be compared: give two that do.")


def asked_differently(before: StudyRecord, after: StudyRecord) -> tuple[SettingChange, ...]:
    """All settings that differ, in the record's order; mappings per entry, contenders regardless of order."""
    a, b = _asked(before, after), _asked(after, before)
    return tuple(
        SettingChange(field, a.get(field), b.get(field)) for field in {**a, **b} if a.get(field) != b.get(field)
    )


def _asked(study: StudyRecord, other: StudyRecord) -> dict[str, Any]:
    """The flattened settings; learning rates only of common contenders, since `contenders` shows the others."""
    record = asdict(study)
    record["contenders"] = sorted(study.contenders)
    both = set(study.contenders) & set(other.contenders)
    record["learning_rates"] = {name: rates for name, rates in study.learning_rates.items() if name in both}
    return {field: value for field, value in _flat(record, "") if not field.startswith(FOUND)}


def _flat(values: Mapping[str, Any], within: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", list(value) if isinstance(value, tuple) else value
