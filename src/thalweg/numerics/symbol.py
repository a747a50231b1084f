"""Symbols: the values that a rule is traced with, in the one call before it is compiled.

A symbol is a node of an expression. Its leaves are *element* values (gradient, parameter, state: one value per
element of a tensor) or *row* values (step, hyperparameters, row state, literals: one value per tensor or member).
An expression of row values only is itself a row value and is computed once per step, in float64.
"""

import itertools
from typing import Any

_KEYS: dict[tuple[Any, ...], int] = {}
_next_key = itertools.count()


class Symbol:
    """One node: `op` applied to `args`; `row`: whether it has one value per row. Nodes with one `key` are equal."""

    __slots__ = ("args", "key", "name", "op", "row")

    def __init__(self, op: str, *args: "Symbol", name: str | float = "", row: bool | None = None) -> None:
        self.op, self.args, self.name = op, args, name
        self.row: bool = all(a.row for a in args) if row is None else row
        identity = (op, repr(name), self.row, *(a.key for a in args))
        self.key: int = _KEYS.setdefault(identity, next(_next_key))

    def __repr__(self) -> str:
        inner = ", ".join(map(repr, self.args))
        return f"{self.op}({inner})" if self.args else str(self.name)

    def __bool__(self) -> bool:
        raise TypeError(
            "A rule may not branch on a value: use maximum, clip or where, or declare a Flag (a plain if, fixed when"
            " the step is built)."
        )

    __hash__ = None  # type: ignore[assignment]  # `==` builds an expression, so a symbol is no dictionary key

    def __add__(self, other: Any) -> "Symbol":
        return Symbol("add", self, lift(other))

    def __radd__(self, other: Any) -> "Symbol":
        return Symbol("add", lift(other), self)

    def __sub__(self, other: Any) -> "Symbol":
        return Symbol("sub", self, lift(other))

    def __rsub__(self, other: Any) -> "Symbol":
        return Symbol("sub", lift(other), self)

    def __mul__(self, other: Any) -> "Symbol":
        return multiply(self, lift(other))

    def __rmul__(self, other: Any) -> "Symbol":
        return multiply(lift(other), self)

    def __truediv__(self, other: Any) -> "Symbol":
        return divide(self, lift(other))

    def __rtruediv__(self, other: Any) -> "Symbol":
        return divide(lift(other), self)

    def __pow__(self, other: Any) -> "Symbol":
        return Symbol("pow", self, lift(other))

    def __rpow__(self, other: Any) -> "Symbol":
        return Symbol("pow", lift(other), self)

    def __mod__(self, other: Any) -> "Symbol":
        return _of_rows(Symbol("mod", self, lift(other)), "%")

    def __neg__(self) -> "Symbol":
        return Symbol("neg", self)

    def __pos__(self) -> "Symbol":
        return self

    def __abs__(self) -> "Symbol":
        return Symbol("abs", self)

    def __eq__(self, other: object) -> "Symbol":  # type: ignore[override]
        return Symbol("eq", self, lift(other))

    def __lt__(self, other: Any) -> "Symbol":
        return Symbol("lt", self, lift(other))

    def __gt__(self, other: Any) -> "Symbol":
        return Symbol("lt", lift(other), self)

    def __le__(self, other: Any) -> "Symbol":
        return Symbol("le", self, lift(other))

    def __ge__(self, other: Any) -> "Symbol":
        return Symbol("le", lift(other), self)

    def cos(self) -> "Symbol":
        return _of_rows(Symbol("cos", self), "cos")

    def sqrt(self) -> "Symbol":
        return Symbol("sqrt", self)

    def cbrt(self) -> "Symbol":
        return Symbol("cbrt", self)

    def exp(self) -> "Symbol":
        return Symbol("exp", self)

    def log(self) -> "Symbol":
        return Symbol("log", self)

    def sign(self) -> "Symbol":
        return Symbol("sign", self)


def _of_rows(found: Symbol, function: str) -> Symbol:
    """A function that the table of row values has, and the loop over elements has not."""
    if not found.row:
        raise TypeError(f"{function} takes row values (step, hyperparameters, row state), not one with elements.")
    return found


def element(name: str) -> Symbol:
    """A leaf with one value per element: the gradient, the parameter, a state."""
    return Symbol("element", name=name, row=False)


def row(name: str) -> Symbol:
    """A leaf with one value per row: the step, a hyperparameter, a row state."""
    return Symbol("row", name=name, row=True)


def lift(value: Any) -> Symbol:
    """Returns a symbol unchanged, and a number as a literal, which is a row value."""
    return value if isinstance(value, Symbol) else Symbol("literal", name=float(value), row=True)


def multiply(a: Symbol, b: Symbol) -> Symbol:
    """a·b with row factors gathered on the left: r·(s·x) becomes (r·s)·x, one multiplication per element."""
    if b.row and not a.row:
        a, b = b, a
    if a.op == "literal" and a.name == 1.0:
        return b
    if a.row and not b.row and b.op == "mul" and b.args[0].row:
        return Symbol("mul", Symbol("mul", a, b.args[0]), b.args[1])
    return Symbol("mul", a, b)


def divide(a: Symbol, b: Symbol) -> Symbol:
    """a/b; by a row value as multiplication with its reciprocal, so that rows divide once and elements never."""
    if b.row and not a.row:
        return multiply(Symbol("div", lift(1.0), b), a)
    return Symbol("div", a, b)
