"""Contenders crossed with the other dimensions of a comparison: schedules, regularizers and arguments of the model."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from thalweg.errors import InputError
from thalweg.studies.contenders import Contender
from thalweg.studies.regularized import listed_regularizers
from thalweg.studies.scheduled import listed_schedules, written
from thalweg.studies.varied import varied
from thalweg.workloads.model_arguments import written as model_text


def crossed(
    of: Sequence[Contender],
    schedules: Sequence[Any] | None,
    regularizers: Sequence[Any] | None = None,
    early_stopping: Any = None,
    vary: Any = None,
) -> list[Contender]:
    """Each contender under each schedule and each regularizer, with each model, where some are given.

    early_stopping: the rule by which all runs end, if any. vary: as `varied` takes it. Raises `InputError` where one
    has its own already.
    """
    found = _varied(_regularized(_scheduled(of, schedules), regularizers), vary)
    own = next((contender for contender in found if contender.early_stopping is not None), None)
    if early_stopping is not None and own is not None:
        raise InputError(
            f"{own.label} stops early, and early_stopping is given for all optimizers: leave one of them out."
        )
    return found


def _scheduled(of: Sequence[Contender], schedules: Sequence[Any] | None) -> list[Contender]:
    if schedules is None:
        return [*of]
    each = listed_schedules(schedules)
    own = next((c for c in of if c.schedule is not None or not c.recipe.rate), None)
    if own is not None:
        has = "no learning rate" if own.schedule is None else f"the schedule {written(own.schedule)} of its own"
        raise InputError(f"{own.label} has {has}, and schedules are given for all optimizers: leave one of them out.")
    return [c if s is None else replace(c, schedule=s, title=f"{c.label} + {written(s)}") for c in of for s in each]


def _regularized(of: Sequence[Contender], regularizers: Sequence[Any] | None) -> list[Contender]:
    if regularizers is None:
        return [*of]
    each = listed_regularizers(regularizers)
    for c in of:
        own = next((name for r in each if r for name in r.values if name in c.fixed or name in c.space), None)
        if own is not None or c.regularizer is not None:
            has = f"the regularizer {c.regularizer}" if own is None else f"{own!r}"
            raise InputError(
                f"{c.label} has {has} of its own, and regularizers are given for all optimizers: leave one of them out."
            )
    return [c if r is None else replace(c, regularizer=r, title=f"{c.label} + {r}") for c in of for r in each]


def _varied(of: Sequence[Contender], vary: Any) -> list[Contender]:
    if vary is None:
        return [*of]
    each = varied(vary)
    for c in of:
        own = next((name for name in c.arguments if name in each[0]), None) or next(iter(c.model), None)
        if own is not None:
            raise InputError(f"{c.label} sets the model's {own}, and vary is given for all: leave one of them out.")
    return [replace(c, model=m, title=f"{c.label} + {model_text(m)}") for c in of for m in each]
