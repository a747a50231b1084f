"""The text form of schedules: "cosine(1e-3, warmup=5%)", "1cycle(steps=3 epochs)", "cosine"."""

import ast
import re
from typing import Any

from thalweg.errors import InputError, listed, shown
from thalweg.schedules.lengths import NUMBER
from thalweg.schedules.plateau import Performance, performance
from thalweg.schedules.schedule import MAKERS, Schedule, text_name

ALIASES = {"1/t": "inverse_time", "noam": "inverse_sqrt", "plateau": "performance", "reduce-on-plateau": "performance"}
WORDS = ("convention", "mode", "shape")
"""Arguments whose word needs no quotes."""

LENGTH = rf"(?<![\w.])(?:{NUMBER})\s*(?:%|epochs?\b)"
NAME = r"(?<![\w.%])(?:1/t|\d?[A-Za-z_][\w-]*)(?=\s*(?:[(,\])]|$))"
TOKENS = re.compile(rf"(?P<quoted>'[^']*'|\"[^\"]*\")|(?P<length>{LENGTH})|(?P<name>{NAME})")


def names() -> dict[str, str]:
    """Text name → the function's name, of every schedule and of `performance`, sorted."""
    return dict(sorted((text_name(name), name) for name in [*MAKERS, "performance"]))


def parse(text: str) -> Schedule | Performance:
    """The schedule of a text. Raises `InputError` if there is none, or for an argument out of its range.

    Names are those of the functions, also with "-" for "_", and "1cycle" for `one_cycle`; one without arguments needs
    no parentheses. Shares and epochs need no quotes.
    """
    found = _parsed(text, TOKENS.sub(_as_python, text.strip()) if isinstance(text, str) else "")
    assert isinstance(found, Schedule | Performance)
    return found


def parse_schedule(text: str) -> Schedule:
    """As `parse`, of a schedule that follows the step. Raises `InputError` for one that follows the metric, too."""
    found = parse(text)
    if isinstance(found, Performance):
        raise InputError(f"{shown(text)} follows the metric: a schedule of the step is needed here.")
    return found


def _parsed(text: str, python: str) -> Any:
    try:
        call = ast.parse(python, mode="eval").body
        return _value(ast.Call(func=call, args=[], keywords=[]) if isinstance(call, ast.Name) else _call(call))
    except InputError:
        raise
    except TypeError as error:  # of a function that was called with an argument that it has not
        raise InputError(f"{shown(text)} is no schedule: {_without_call(error)}.") from error
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError) as error:
        known = listed([*names()], most=len(names()))
        raise InputError(f"{shown(text)} is no schedule: write one of {known} with numbers in parentheses.") from error


def _as_python(token: "re.Match[str]") -> str:
    if token["name"] is not None:
        function = ALIASES.get(token["name"]) or names().get(token["name"])
        return function or token["name"]
    return token["quoted"] or repr(token["length"])


def _call(node: ast.expr) -> ast.Call:
    if not isinstance(node, ast.Call):
        raise ValueError("no call")
    return node


def _value(node: ast.expr, argument: str | None = None) -> Any:
    """The value of a part of the text. argument: the name of the argument that it is given to."""
    if isinstance(node, ast.Name):
        return node.id if argument in WORDS else _value(ast.Call(func=node, args=[], keywords=[]))
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_value(element) for element in node.elts)
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    if not isinstance(node.func, ast.Name):
        raise ValueError("no name")
    given = [_value(argument) for argument in node.args]
    named = {str(keyword.arg): _value(keyword.value, keyword.arg) for keyword in node.keywords}
    if node.func.id == "performance":
        return performance(*given, **named)
    return MAKERS[node.func.id].function(*given, **named)


def _without_call(error: TypeError) -> str:
    """The message of a call that does not fit, such as "cosine has no 'step'"."""
    unexpected = re.search(r"(\w+)\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if unexpected is not None:
        return f"{text_name(unexpected[1])} has no {unexpected[2]!r}"
    return str(error).replace("()", "").removesuffix(".")
