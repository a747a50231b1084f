"""Row values: the step, the hyperparameters and what depends on them alone, in float64 with NumPy."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thalweg.numerics.functions import row_dtype
from thalweg.numerics.symbol import Symbol
from thalweg.recipes.trace import Program

Array = NDArray[Any]


def _kept(x: Array) -> Array:
    single = row_dtype() == torch.float32
    return np.asarray(x, np.float32 if single else np.float64).astype(np.float64)


OPERATIONS: Mapping[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "mod": np.mod,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "cbrt": np.cbrt,
    "exp": np.exp,
    "log": np.log,
    "sign": np.sign,
    "max": np.maximum,
    "min": np.minimum,
    "eq": np.equal,
    "lt": np.less,
    "le": np.less_equal,
    "where": np.where,
    "kept": _kept,
}


def table(program: Program, values: Mapping[str, Any]) -> tuple[Array, dict[str, Array]]:
    """The program's columns and new row states for given row values.

    Args:
        values: `t`, hyperparameters and row states by name: numbers or float64 arrays that broadcast together,
            such as `[rows]`, or `[steps, 1]` beside `[rows]` for many steps at once (without row state).

    Returns:
        columns, float64 `[…, len(program.columns)]`, and each row state's new value.
    """
    known: dict[int, Array] = {}

    def leaf(symbol: Symbol) -> Any:
        return np.asarray(values[str(symbol.name)] if symbol.op == "row" else symbol.name, np.float64)

    with np.errstate(all="ignore"):
        columns = [evaluate(symbol, leaf, OPERATIONS, known) for symbol in program.columns]
        after = {n: np.asarray(evaluate(s, leaf, OPERATIONS, known)) for n, s in program.row_updates.items()}
    shape = np.broadcast_shapes(*(np.shape(v) for v in values.values()))
    out = np.empty((*shape, len(columns)))
    for j, column in enumerate(columns):
        out[..., j] = column
    return out, after


def evaluate(
    symbol: Symbol, leaf: Callable[[Symbol], Any], operations: Mapping[str, Any], known: dict[int, Any]
) -> Any:
    """A row expression's value by any arithmetic. leaf: what a row value or a literal is; known: what is computed."""
    if symbol.key not in known:
        if symbol.op in ("row", "literal"):
            known[symbol.key] = leaf(symbol)
        else:
            arguments = (evaluate(a, leaf, operations, known) for a in symbol.args)
            known[symbol.key] = operations[symbol.op](*arguments)
    return known[symbol.key]


class Ahead:
    """The table's one line at each step, computed for some steps at once: hyperparameters rarely change."""

    STEPS = 32

    def __init__(self, program: Program) -> None:
        self._program = program
        self._given: dict[str, Any] = {}
        self._first = 0.0
        self._lines: Array = np.empty((0, 1, len(program.columns)))

    def __call__(self, values: Mapping[str, Any], t: float) -> Array:
        """`[1, len(program.columns)]` at step t, for a program without row state."""
        given = {name: values[name] for name in self._program.inputs}
        ahead = t - self._first
        if given != self._given or not (0 <= ahead < len(self._lines) and ahead.is_integer()):
            steps = np.arange(t, t + self.STEPS)[:, None]
            self._lines, self._first, self._given = table(self._program, {**given, "t": steps})[0], t, given
            ahead = 0.0
        line: Array = self._lines[int(ahead)]
        return line
