"""One optimizer with all of its hyperparameters, of which a study trains several models."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from thalweg.errors import InputError
from thalweg.options.ranges import POSITIVE
from thalweg.rules.contract import Preset
from thalweg.studies.contenders import Contender, contenders


def one_contender(
    optimizer: str | Preset | Contender | Callable[..., Any],
    learning_rate: float | None,
    schedule: Any = None,
    convention: str = "torch",
) -> Contender:
    """The contender with its rate fixed: the one given, else that of its text, else the published default.

    Raises `InputError` where two rates or schedules are given, or none and the optimizer has no default, or it has a
    space of hyperparameters.
    """
    (found,) = contenders([optimizer], convention)
    if found.space:
        raise InputError(f"{found.label} has a space of hyperparameters, and one setting is trained: fix each of them.")
    if schedule is not None and found.schedule is not None:
        raise InputError(f"{found.label} has a schedule of its own, and another is given: leave one of them out.")
    label, rate = found.label, found.recipe.rate
    if rate is None:
        if learning_rate is not None:
            raise InputError(f"{label} has no learning rate, and learning_rate is given: leave it out.")
        return found
    if learning_rate is not None and rate in found.fixed:
        raise InputError(f"{label} has a learning rate of its own, and learning_rate is given: leave one of them out.")
    own = {} if rate in found.fixed else found.default_rate if learning_rate is None else {rate: learning_rate}
    if not own and rate not in found.fixed:
        raise InputError(f"{label} has no default learning rate: give learning_rate.")
    if learning_rate is not None:
        POSITIVE.check("learning_rate", learning_rate)
    changes: dict[str, Any] = {} if schedule is None else {"schedule": schedule}
    return replace(found, fixed={**found.fixed, **own}, title=label, **changes)
