"""Source code as content: of a function or class, and of a user's own functions that it calls."""

import inspect
import io
import sys
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from torch import Tensor

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


def reached(things: list[Any]) -> dict[str, Any]:
    """What functions and classes use by global names, and so on from there, by name, in order of the names.

    A user's functions and classes, and plain values; not what libraries define.
    """
    found: dict[str, Any] = {}
    waiting = [*things]
    while waiting:
        thing = waiting.pop()
        for function in _functions(thing):
            for name in sorted(set(_names(function.__code__))):
                key, value = f"{function.__module__}.{name}", function.__globals__.get(name)
                if key in found or name not in function.__globals__:
                    continue
                if isinstance(value, PLAIN):
                    found[key] = value
                elif isinstance(value, FunctionType | type) and _is_users(value):
                    found[key] = value
                    waiting.append(value)
    return dict(sorted(found.items()))


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


def _is_users(thing: Any) -> bool:
    """Whether it is defined in no installed library, nor in Thalweg."""
    module = sys.modules.get(thing.__module__ or "")
    root, file = (thing.__module__ or "").partition(".")[0], getattr(module, "__file__", None)
    if root in sys.stdlib_module_names | {"thalweg", "torch"} - {"__main__"}:
        return False
    return file is None or not {"site-packages", "dist-packages"} & set(Path(file).parts)
