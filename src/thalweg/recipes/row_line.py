"""One line of the table of row values, in Python's own numbers: for rows that are all alike, several times as fast."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch

from thalweg.numerics.functions import row_dtype as current_row_dtype
from thalweg.numerics.functions import rows_held_in
from thalweg.numerics.symbol import Symbol
from thalweg.recipes.row_table import Array, cosine, cube_root, exponential, logarithm, power, table
from thalweg.recipes.stages import Stage

Function = Callable[..., tuple[float, ...]]

EXPRESSIONS: Mapping[str, str] = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "pow": "_power({0}, {1})",
    "mod": "{0} % {1}",
    "neg": "-{0}",
    "abs": "abs({0})",
    "sqrt": "_sqrt({0})",
    "cbrt": "_cbrt({0})",
    "cos": "_cos({0})",
    "exp": "_exp({0})",
    "log": "_log({0})",
    "sign": "_sign({0})",
    "max": "_largest({0}, {1})",
    "min": "_smallest({0}, {1})",
    "eq": "{0} == {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "where": "({1} if {0} else {2})",
    "kept": "_kept({0})",
}


def line(stage: Stage, values: Mapping[str, Any], row_dtype: torch.dtype | None = None) -> tuple[Array, dict[str, Any]]:
    """As `row_table.table`, for numbers: columns `[1, columns]`, and one number for each row state."""
    function, names = _function(stage)
    given = [values[name] for name in names]
    try:
        if row_dtype is None:
            found = function(*given)
        else:
            with rows_held_in(row_dtype):
                found = function(*given)
    except (ArithmeticError, ValueError):  # such as a division by 0, which NumPy makes infinite
        return table(stage, {name: np.array([values[name]], np.float64) for name in (*names, "t")}, row_dtype)
    columns = np.array([found[: len(stage.columns)]], np.float64)
    return columns, dict(zip(stage.row_updates, found[len(stage.columns) :], strict=True))


@cache
def _function(stage: Stage) -> tuple[Function, list[str]]:
    """The stage's columns and row updates as one function of numbers, and the names of its arguments."""
    writer = _Writer()
    results = [writer.place(symbol) for symbol in (*stage.columns, *stage.row_updates.values())]
    returned = f"    return ({''.join(f'{result}, ' for result in results)})"
    source = [f"def line({', '.join(writer.arguments.values())}):", *writer.lines, returned]
    namespace = dict(FUNCTIONS)
    exec("\n".join(source), namespace)  # of symbols only: no name or text of a user's is in it
    return namespace["line"], [*writer.arguments]


class Part(NamedTuple):
    """What depends on one hyperparameter: `function` of it and of `rest`, which does not, gives these `columns`."""

    columns: tuple[int, ...]
    rest: tuple[Symbol, ...]
    function: Function


@cache
def part_of(stage: Stage, name: str) -> Part:
    """The columns of a stage that depend on a hyperparameter."""
    depends = _dependence(name)
    columns = tuple(i for i, symbol in enumerate(stage.columns) if depends(symbol))
    rest: dict[int, Symbol] = {}
    writer = _Writer({name: "_moving"}, lambda symbol: None if depends(symbol) else rest.setdefault(symbol.key, symbol))
    results = [writer.place(stage.columns[i]) for i in columns]
    others = [writer.arguments[str(key)] for key in rest]
    returned = f"    return ({''.join(f'{result}, ' for result in results)})"
    source = [f"def part({', '.join(['_moving', *others])}):", *writer.lines, returned]
    namespace = dict(FUNCTIONS)
    exec("\n".join(source), namespace)  # of symbols only
    return Part(columns, tuple(rest.values()), namespace["part"])


def _dependence(name: str) -> Callable[[Symbol], bool]:
    known: dict[int, bool] = {}

    def depends(symbol: Symbol) -> bool:
        if symbol.key not in known:
            itself = symbol.op == "row" and symbol.name == name
            known[symbol.key] = itself or any(depends(argument) for argument in symbol.args)
        return known[symbol.key]

    return depends


class _Writer:
    """Writes each expression once, as a line of Python.

    arguments: leaves that have names already. given: the symbol itself where it is an argument, too, else `None`.
    """

    def __init__(
        self, arguments: Mapping[str, str] | None = None, given: Callable[[Symbol], Symbol | None] = lambda _: None
    ) -> None:
        self._given = given
        self.arguments: dict[str, str] = dict(arguments or {})
        self.lines: list[str] = []
        self._names: dict[int, str] = {}

    def place(self, symbol: Symbol) -> str:
        if symbol.key not in self._names:
            self._names[symbol.key] = self._written(symbol)
        return self._names[symbol.key]

    def _written(self, symbol: Symbol) -> str:
        if symbol.op == "literal":
            number = float(symbol.name)
            return repr(number) if math.isfinite(number) else f"_number('{number}')"
        if self._given(symbol) is not None:
            return self.arguments.setdefault(str(symbol.key), f"_a{len(self.arguments)}")
        if symbol.op == "row":
            return self.arguments.setdefault(str(symbol.name), f"_a{len(self.arguments)}")
        arguments = [self.place(argument) for argument in symbol.args]
        self.lines.append(f"    _x{len(self.lines)} = {EXPRESSIONS[symbol.op].format(*arguments)}")
        return f"_x{len(self.lines) - 1}"


def _largest(a: float, b: float) -> float:
    return a if a > b or a != a else b  # NaN on either side stays NaN


def _smallest(a: float, b: float) -> float:
    return a if a < b or a != a else b


def _sign(x: float) -> float:
    return x if x != x else float((x > 0) - (x < 0))


def _kept(x: float) -> float:
    return float(np.float32(x)) if current_row_dtype() == torch.float32 else x


FUNCTIONS: Mapping[str, Any] = {
    "_power": power,
    "_sqrt": math.sqrt,
    "_cbrt": cube_root,
    "_cos": cosine,
    "_exp": exponential,
    "_log": logarithm,
    "_sign": _sign,
    "_largest": _largest,
    "_smallest": _smallest,
    "_kept": _kept,
    "_number": float,
}
