"""A study's settings as plain data in its record, from which an interrupted study is resumed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from thalweg.errors import InputError
from thalweg.records.types import StudyRecord
from thalweg.studies.contender_notes import OWN
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design
from thalweg.studies.protocol import PROTOCOL
from thalweg.studies.scheduled import is_named, written
from thalweg.workloads.workload import Workload

TRAINING = ("batch_size", "drop_last", "accumulate", "precision", "evaluate_every")
"""Workload settings other than its content and steps."""

WHAT = {"loss": "loss, step, metrics or augmentation"}
"""Of a content hash → what it is of, where that is not its name."""


def request(design: Design, **others: Any) -> dict[str, Any]:
    """The design and all other settings as JSON data. A contender with a custom rule is stored without name."""
    contenders = [_named(c) for c in design.contenders]
    names = [of.name for of in fields(Design) if of.name != "contenders"]
    asked = {"contenders": contenders, "design": {name: getattr(design, name) for name in names}, **others}
    plain: dict[str, Any] = json.loads(json.dumps(asked))
    return plain


def design(record: StudyRecord, given: Sequence[Contender] | None) -> Design:
    """Restores the design of a recorded study.

    given: its contenders, instead of those in the record.

    Raises:
        InputError: where the study compares a custom rule and `given` is `None`, the contenders are not the study's,
            or its gradients were clipped by an earlier Thalweg.
    """
    if record.plan["clip_norm"] is not None and "clip_norm" not in record.request["design"]:
        raise InputError(
            "The study's gradients were clipped in another order by an earlier Thalweg, and its runs would not compare"
            " with new ones; begin it anew."
        )
    contenders = [_contender(c) for c in record.request["contenders"]] if given is None else list(given)
    labels = tuple(c.label for c in contenders)
    if labels != record.contenders:
        raise InputError(f"The study compares {', '.join(record.contenders)}; got {', '.join(labels)}.")
    other = next((c for c in contenders if record.factors.get(c.label, c.factors) != c.factors), None)
    if other is not None:
        raise InputError(
            f"{other.label} was {_factors(record.factors[other.label])} when the study was begun, and is"
            f" {_factors(other.factors)} now."
        )
    return Design(contenders, **{name: _tuple(value) for name, value in record.request["design"].items()})


def _factors(of: Mapping[str, Any]) -> str:
    return " with ".join([str(of["optimizer"]), *(f"{k} {v}" for k, v in of.items() if k != "optimizer")])


def changed(record: StudyRecord, now: StudyRecord) -> list[str]:
    """Changes of the environment since the study began that do not prevent resuming, one sentence each.

    now: the record it would start with today. Raises `InputError` where old and new runs are not comparable.
    """
    if record.protocol != PROTOCOL:
        raise InputError(f"The study follows protocol {record.protocol}, this Thalweg {PROTOCOL}; begin it anew.")
    other = [name for name in record.content if record.content[name] != now.content.get(name)]
    own = next((name.removeprefix(OWN) for name in other if name.startswith(OWN)), None)
    if own is not None:
        raise InputError(
            f"{own}, which has an optimizer or a schedule of your own, changed since the study was begun; put it back"
            " as it was, or begin a new study."
        )
    other = [WHAT.get(name, name) for name in other]
    other += [name for name in TRAINING if getattr(record, name) != getattr(now, name)]
    if other:
        raise InputError(
            f"The {' and '.join(other)} of the workload {record.workload!r} changed since the study was begun;"
            " put it back as it was, or begin a new study."
        )
    then = record.environment
    return [
        f"The study went on under {name} {now.environment[name]}, after {then[name]}: numbers of before and after may"
        " differ in their last digits."
        for name in then
        if then[name] != now.environment.get(name)
    ]


def as_begun(workload: Workload, record: StudyRecord) -> Workload:
    """The workload with the recorded number of steps, which a budget may have cut."""
    return workload if workload.total_steps == record.steps else replace(workload, steps=record.steps)


def _named(contender: Contender) -> dict[str, Any]:
    whole: dict[str, Any] = {"name": contender.name, "fixed": dict(contender.fixed), "space": dict(contender.space)}
    whole["convention"] = contender.convention
    whole["regularizer"] = None if contender.regularizer is None else str(contender.regularizer)
    whole["model"] = dict(contender.model)
    whole["schedule"] = None if contender.schedule is None else written(contender.schedule)
    try:
        json.dumps(whole)
        if contender.schedule is not None and not is_named(contender.schedule):
            raise TypeError
    except TypeError:  # a custom rule, or a hyperparameter that JSON cannot represent
        whole = {
            "name": None,
            "fixed": {},
            "space": {},
            "convention": None,
            "schedule": None,
            "regularizer": None,
            "model": {},
        }
    return {**whole, "title": contender.label}


def _contender(saved: Mapping[str, Any]) -> Contender:
    if saved["name"] is None:
        raise InputError(
            f"{saved['title']!r} has an optimizer or a schedule of your own: go on in Python with thalweg.resume(out,"
            " optimizers=[…]) and all optimizers of the study; one under a schedule is"
            " thalweg.Contender(name, schedule=…, title=…)."
        )
    fixed = {name: _tuple(value) for name, value in saved["fixed"].items()}
    space = {name: _tuple(values) for name, values in saved["space"].items()}
    more: dict[str, Any] = {name: saved.get(name) for name in ("convention", "schedule", "regularizer")}
    more["model"] = {name: _tuple(value) for name, value in saved.get("model", {}).items()}
    return Contender(saved["name"], fixed, space, saved["title"], **more)


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value
