"""Row values: the step, the hyperparameters and what depends on them alone, in float64 with NumPy."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thalweg.numerics.functions import row_dtype as current_row_dtype
from thalweg.numerics.functions import rows_held_in
from thalweg.numerics.symbol import Symbol
from thalweg.recipes.stages import Stage

Array = NDArray[Any]


def _kept(x: Array) -> Array:
    single = current_row_dtype() == torch.float32
    return np.asarray(x, np.float32 if single else np.float64).astype(np.float64)


def _by_libm(function: Callable[..., float]) -> Callable[..., Array]:
    """A function of arrays that rounds as `row_line` does, number by number: NumPy's own differ in the last place."""
    each = np.frompyfunc(function, function.__code__.co_argcount, 1)

    def applied(*arguments: Array) -> Array:
        return np.asarray(each(*map(_collapsed, arguments)), np.float64)

    return applied


def _collapsed(x: Array) -> Array:
    """The number of an array of equal ones; the array itself if they differ."""
    same = x.size > 1 and bool((x == x.flat[0]).all())
    return x.reshape(-1)[0] if same else x


def power(x: float, y: float) -> float:
    """xʸ; NaN for a negative number to a fraction, infinite where it is too large or a division by 0."""
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf
    except ValueError:
        return math.nan if x else math.inf


def exponential(x: float) -> float:
    """eˣ, infinite where it is too large."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def cosine(x: float) -> float:
    """cos x, NaN of an infinite number."""
    return math.cos(x) if math.isfinite(x) else math.nan


def logarithm(x: float) -> float:
    """ln x: -infinite at 0, NaN of a negative number."""
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def cube_root(x: float) -> float:
    """∛x."""
    return math.cbrt(x)


OPERATIONS: Mapping[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": _by_libm(power),
    "mod": np.mod,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "cbrt": _by_libm(cube_root),
    "cos": _by_libm(cosine),
    "exp": _by_libm(exponential),
    "log": _by_libm(logarithm),
    "sign": np.sign,
    "max": np.maximum,
    "min": np.minimum,
    "eq": np.equal,
    "lt": np.less,
    "le": np.less_equal,
    "where": np.where,
    "kept": _kept,
}


def table(
    stage: Stage, values: Mapping[str, Any], row_dtype: torch.dtype | None = None
) -> tuple[Array, dict[str, Array]]:
    """The stage's columns and new row states for given row values.

    Args:
        values: `t`, hyperparameters, row states and reductions by name: numbers or float64 arrays that broadcast with
            each other, such as `[rows]`, or `[steps, 1]` with `[rows]` for many steps at once (without row state).
        row_dtype: of row states; by default that of `numerics.functions.row_dtype`.

    Returns:
        columns, float64 `[…, len(stage.columns)]`, and each row state's new value.
    """
    with rows_held_in(row_dtype) if row_dtype else nullcontext():
        found = _expressions(stage)(values)
    columns, after = found[: len(stage.columns)], found[len(stage.columns) :]
    shapes = {np.shape(v) for v in values.values()} - {()}  # one, as a rule: broadcasting takes longer than all else
    shape = shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)
    return _side_by_side(columns, shape), dict(zip(stage.row_updates, map(np.asarray, after), strict=True))


def _side_by_side(columns: Sequence[Array], shape: tuple[int, ...]) -> Array:
    out = np.empty((*shape, len(columns)))
    for j, column in enumerate(columns):
        out[..., j] = column
    return out


@cache
def _expressions(stage: Stage) -> "_Expressions":
    return _Expressions([*stage.columns, *stage.row_updates.values()])


class _Expressions:
    """Row expressions as a list of operations, each computed once. Called with row values, it returns the results."""

    def __init__(self, roots: Sequence[Symbol]) -> None:
        self._slots: dict[int, int] = {}
        self._initial: list[Any] = []  # the literals, in their slots
        self._rows: list[tuple[int, str]] = []
        self._operations: list[tuple[int, Callable[..., Any], list[int]]] = []
        self._roots = [self._slot(root) for root in roots]

    def _slot(self, symbol: Symbol) -> int:
        if symbol.key not in self._slots:
            arguments = [self._slot(argument) for argument in symbol.args]
            slot = self._slots[symbol.key] = len(self._slots)
            self._initial.append(np.asarray(symbol.name, np.float64) if symbol.op == "literal" else None)
            if symbol.op == "row":
                self._rows.append((slot, str(symbol.name)))
            elif symbol.op != "literal":
                self._operations.append((slot, OPERATIONS[symbol.op], arguments))
        return self._slots[symbol.key]

    def __call__(self, values: Mapping[str, Any]) -> list[Array]:
        found = self._initial.copy()
        for slot, name in self._rows:
            found[slot] = np.asarray(values[name], np.float64)
        with np.errstate(all="ignore"):
            for slot, operation, arguments in self._operations:
                found[slot] = operation(*[found[argument] for argument in arguments])
        return [found[root] for root in self._roots]


def evaluate(
    symbol: Symbol, leaf: Callable[[Symbol], Any], operations: Mapping[str, Any], known: dict[int, Any]
) -> Any:
    """A row expression's value in any arithmetic. leaf: the value of a leaf; known: cache of results by symbol key."""
    if symbol.key not in known:
        if symbol.op in ("row", "literal"):
            known[symbol.key] = leaf(symbol)
        else:
            arguments = (evaluate(a, leaf, operations, known) for a in symbol.args)
            known[symbol.key] = operations[symbol.op](*arguments)
    return known[symbol.key]
