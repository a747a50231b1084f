"""Source code as content: of a function or class, and of a user's own functions that it calls."""

import inspect
import io
import sys
import textwrap
import tokenize
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from thalweg.workloads.assignments import assignments, imported_from

LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
PLAIN = (bool, int, float, complex, str, bytes, tuple, Tensor, np.ndarray, np.generic)
"""Global values that are part of a function's content."""


def source(thing: Callable[..., Any] | type) -> str:
    """The tokens of a function's or a class's source, without comments; byte code where there is no source."""
    try:
        return _tokens(textwrap.dedent(inspect.getsource(thing)))
    except (OSError, TypeError):
        code = getattr(thing, "__code__", None)
        return "" if code is None else f"{code.co_code.hex()} {code.co_names} {_constants(code)}"


def _tokens(text: str) -> str:
    try:
        tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in LAYOUT]
    except (tokenize.TokenError, SyntaxError):  # a part of a statement, as of a lambda among arguments
        return text
    marks = {tokenize.INDENT: "\t", tokenize.DEDENT: "\b", tokenize.NEWLINE: "\n"}
    return " ".join(marks.get(t.type, t.string) for t in tokens)


def _constants(code: CodeType) -> list[str]:
    """A code object's constants; inner functions by their code, since the address in their `repr` differs by run."""
    return [f"{c.co_code.hex()} {_constants(c)}" if inspect.iscode(c) else repr(c) for c in code.co_consts]


class _Scope(NamedTuple):
    """Names that code reads among the global names of its module, whose file it is."""

    names: frozenset[str]
    values: Mapping[str, Any]
    file: str


def reached(things: list[Any]) -> dict[str, Any]:
    """What functions and classes use by global names, and so on from there, by name, in order of the names.

    A user's functions and classes, those of the user's other modules too, and plain values; in the place of other
    values, the statements that make them. Not what libraries define.
    """
    found: dict[str, Any] = {}
    waiting = [scope for thing in things for scope in _scopes(thing)]
    seen = set[tuple[str, frozenset[str]]]()
    while waiting:
        scope = waiting.pop()
        home = str(scope.values.get("__name__", ""))
        if (home, scope.names) in seen:
            continue
        seen.add((home, scope.names))
        for name in sorted(scope.names & scope.values.keys()):
            if f"{home}.{name}" not in found or isinstance(scope.values[name], ModuleType):
                text, further = _followed(scope, home, name)
                found |= {} if text is None else {f"{home}.{name}": text}
                waiting += further
    return dict(sorted(found.items()))


def _followed(scope: _Scope, home: str, name: str) -> tuple[Any, list[_Scope]]:
    """Returns (what stands for a global value, `None` for nothing; what it reads). home: the name of its module."""
    value = scope.values[name]
    if isinstance(value, PLAIN):
        return value, []
    if isinstance(value, FunctionType | type):
        return (value, [*_scopes(value)]) if is_users(value) else (None, [])
    if isinstance(value, ModuleType):
        return None, [_of_module(scope.names, value)] if _is_users_module(value.__name__) else []
    return _made_by(scope, name) if _is_users_module(home) else (None, [])


def _of_module(names: frozenset[str], module: ModuleType) -> _Scope:
    return _Scope(names, vars(module), getattr(module, "__file__", None) or "")


def _made_by(scope: _Scope, name: str) -> tuple[str | None, list[_Scope]]:
    """Returns (the statements that make a global value, what they read)."""
    made = assignments(scope.file, name)
    if made:
        text = "\n".join(_tokens(statement.text) for statement in made)
        return text, [_Scope(statement.names - {name}, scope.values, scope.file) for statement in made]
    origin = imported_from(scope.file, name, scope.values)
    if origin is None:
        return None, []
    module, there = origin
    return None, [_of_module(frozenset({there}), module)]


def _scopes(thing: Any) -> Iterator[_Scope]:
    """What a function, or the functions of a class, read."""
    for function in _functions(thing):
        code = function.__code__
        yield _Scope(frozenset(_names(code)), function.__globals__, code.co_filename)


def _functions(thing: Any) -> Iterator[FunctionType]:
    """A function itself, or the functions that a class defines."""
    for value in vars(thing).values() if isinstance(thing, type) else [thing]:
        inner = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(inner, FunctionType):
            yield inner


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if inspect.iscode(inner):
            yield from _names(inner)


def is_users(thing: Any) -> bool:
    """Whether it is defined in no installed library, nor in Thalweg."""
    return _is_users_module(thing.__module__ or "")


def _is_users_module(name: str) -> bool:
    root, file = name.partition(".")[0], getattr(sys.modules.get(name), "__file__", None)
    if root in sys.stdlib_module_names | {"thalweg", "torch"} - {"__main__"}:
        return False
    return file is None or not {"site-packages", "dist-packages"} & set(Path(file).parts)
