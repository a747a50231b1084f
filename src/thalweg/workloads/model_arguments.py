"""Arguments of a workload's model factory: which it takes, and how they are written."""

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from thalweg.errors import InputError, listed, suggest
from thalweg.workloads.workload import Workload

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


def default_of(factory: Callable[..., Any], name: str) -> Any:
    """The default of a factory's argument; `inspect.Parameter.empty` where it has or tells none."""
    try:
        parameter = inspect.signature(factory).parameters.get(name)
    except (TypeError, ValueError):  # of a builtin
        return inspect.Parameter.empty
    return inspect.Parameter.empty if parameter is None else parameter.default


def written(arguments: Mapping[str, Any]) -> str:
    """As text, by name: `"dropout=0.2+init=he-normal"`, which tells the models of a study apart; empty for none.

    Other values have other texts: 1, True, 1.0 and the text "1" are told apart.
    """
    return "+".join(f"{name}={_text(value)}" for name, value in sorted(arguments.items()))


def read(text: str) -> Any:
    """A value from its text: a number, True or False, None, a tuple or a quoted text of these; else the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return text


def _text(value: Any) -> str:
    """A text is quoted where it would be read as something else, or ends a value within another text."""
    if not isinstance(value, str):
        return repr(value)
    return value if re.fullmatch(r"[\w.:/ -]+", value) and read(value) == value else repr(value)
