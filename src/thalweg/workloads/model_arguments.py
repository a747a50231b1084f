"""Arguments of a workload's model factory: which it takes, and how they are written."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from thalweg.errors import InputError, listed, suggest
from thalweg.workloads.workload import Workload

Arguments = tuple[tuple[str, Any], ...]
"""(name, value) of each, by name: what tells the models of a study apart."""

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def require_taken(workload: Workload, arguments: Mapping[str, Any]) -> None:
    """Raises `InputError` where the workload's factory does not take one of these arguments."""
    taken = keywords(workload.model)
    unknown = next((name for name in arguments if taken is not None and name not in taken), None)
    if unknown is None:
        return
    if not taken:
        raise InputError(
            f"The model of {workload.name!r} takes no arguments, and {unknown} is one: write its factory as a function"
            f" model({unknown}=…) that returns the module."
        )
    raise InputError(
        f"The model of {workload.name!r} takes {listed(sorted(taken))}, and not {unknown!r}. {suggest(unknown, taken)}"
    )


def keywords(factory: Callable[..., Any]) -> tuple[str, ...] | None:
    """The names of a factory's arguments; `None` if it takes any, or does not tell."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # of a builtin
        return None
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return None
    return tuple(p.name for p in parameters if p.kind not in (*VARIADIC, inspect.Parameter.POSITIONAL_ONLY))


def written(arguments: Mapping[str, Any] | Arguments) -> str:
    """As text: `"init=he-normal+dropout=0.2"`; empty for none."""
    return "+".join(f"{name}={_value(value)}" for name, value in dict(arguments).items())


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + ",".join(map(_value, value)) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)
