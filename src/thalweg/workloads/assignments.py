"""Statements of a module that make the values of its global names: the content of what cannot be hashed itself."""

import ast
import importlib.util
import linecache
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

OWN_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Made(NamedTuple):
    """A statement that makes or changes a global value. names: all that stand in it."""

    text: str
    names: frozenset[str]


def assignments(file: str, name: str) -> list[Made]:
    """The statements of a file, outside of functions and classes, that assign to a name or call one of its methods.

    They say the same in every process, as the value may not: a list grows, an object counts its calls. Empty where the
    file has none, or cannot be read.
    """
    text, tree = _parsed(file)
    found = [s for s in _statements(tree.body) if name in _changed(s)]
    return [Made(ast.get_source_segment(text, s) or "", _names(s)) for s in found]


def imported_from(file: str, name: str, scope: Mapping[str, Any]) -> tuple[ModuleType, str] | None:
    """The module from which a file imports a name, and the name there; `None` if it imports none of that name.

    scope: the global names of the file.
    """
    for statement in _statements(_parsed(file)[1].body):
        if not isinstance(statement, ast.ImportFrom):
            continue
        there = next((a.name for a in statement.names if name == (a.asname or a.name)), None)
        module = None if there is None else _module(statement, scope.get("__package__") or "")
        if there is not None and module is not None:
            return module, there
    return None


def _module(statement: ast.ImportFrom, package: str) -> ModuleType | None:
    path = "." * statement.level + (statement.module or "")
    try:
        return sys.modules.get(importlib.util.resolve_name(path, package))
    except ImportError:  # relative, in no package
        return None


def _parsed(file: str) -> tuple[str, ast.Module]:
    linecache.checkcache(file)
    text = "".join(linecache.getlines(file))
    try:
        return text, ast.parse(text)
    except (SyntaxError, ValueError):
        return "", ast.Module([], [])


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Simple statements, those in branches and loops too."""
    for statement in body:
        inner = [getattr(statement, field, []) for field in ("body", "orelse", "finalbody")]
        handlers = [handler.body for handler in getattr(statement, "handlers", [])]
        if isinstance(statement, OWN_SCOPE):
            continue
        if not any(inner):
            yield statement
        for part in (*inner, *handlers):
            yield from _statements(part)


def _changed(statement: ast.stmt) -> set[str]:
    """The names that a statement assigns to, also to a part of, and the one whose method it calls."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        called = statement.value.func
        targets = [called] if isinstance(called, ast.Attribute) else []
    return {root for target in targets for root in _roots(target)}


def _roots(target: ast.expr) -> Iterator[str]:
    """`a` of `a`, of `a.b` and of `a[0]`; both of `(a, b)`."""
    if isinstance(target, ast.Tuple | ast.List):
        for each in target.elts:
            yield from _roots(each)
    elif isinstance(target, ast.Attribute | ast.Subscript | ast.Starred):
        yield from _roots(target.value)
    elif isinstance(target, ast.Name):
        yield target.id


def _names(statement: ast.stmt) -> frozenset[str]:
    """Names, and attributes, which may be of modules."""
    nodes = list(ast.walk(statement))
    names = {n.id for n in nodes if isinstance(n, ast.Name)} | {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    return frozenset(names)
