"""What two studies asked differently, and whether their answers can be compared at all."""

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
"""What must not differ, and how a sentence calls it."""

FOUND = ("notes", "plan.expected", "plan.pace", "request")
"""What came of a study or was only foreseen; and the request, whose parts stand elsewhere too."""


@dataclass(frozen=True)
class SettingChange:
    """One thing that differs. field: its name in the record, `samples.test` for an entry of a mapping.

    `None` is what is not there.
    """

    field: str
    before: Any
    after: Any


def require_one_question(before: StudyRecord, after: StudyRecord) -> None:
    """Raises `InputError` where the studies answer different questions: another workload, metric or protocol."""
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
    """All that differs, in the order of the record; entries of mappings one by one, contenders whatever their order."""
    a, b = _asked(before, after), _asked(after, before)
    return tuple(
        SettingChange(field, a.get(field), b.get(field)) for field in {**a, **b} if a.get(field) != b.get(field)
    )


def _asked(study: StudyRecord, other: StudyRecord) -> dict[str, Any]:
    """Rates only of the contenders that both have: what came or went is told by `contenders`."""
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
