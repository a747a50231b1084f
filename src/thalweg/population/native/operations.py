"""The elementwise operations that have a native form, by torch's names."""

from collections.abc import Callable
from typing import Any

from thalweg.population.native.emitter import Emitter, Value
from thalweg.population.native.mathematics import function_of

Operation = Callable[..., Value]
"""(emitter, kind of the result, arguments in that kind) → value."""


def _scaled(combine: str) -> Operation:
    def emit(e: Emitter, kind: str, a: Value, b: Value, alpha: Value | None = None) -> Value:
        return getattr(e, combine)(a, b if alpha is None else e.mul(b, alpha, kind), kind)

    return emit


def _by(name: str) -> Operation:
    return lambda e, kind, x: function_of(e, name, x)


def _outside(name: str) -> Operation:
    return lambda e, kind, x: e.outside(name, x)


def _clamp(e: Emitter, kind: str, x: Value, least: Value | None = None, most: Value | None = None) -> Value:
    x = x if least is None else e.larger(x, least, kind)
    return x if most is None else e.smaller(x, most, kind)


def _relu(e: Emitter, kind: str, x: Value) -> Value:
    return e.chosen(e.compared("<=", x, e.number(0, kind), kind), e.number(0, kind), x)


def _sign(e: Emitter, kind: str, x: Value) -> Value:
    zero, one = e.number(0, kind), e.number(1, kind)
    below = e.chosen(e.compared("<", x, zero, kind), e.neg(one, kind), zero)
    return e.chosen(e.compared(">", x, zero, kind), one, below)


ARITHMETIC: dict[str, Operation] = {
    "add": _scaled("add"),
    "sub": _scaled("sub"),
    "mul": lambda e, kind, a, b: e.mul(a, b, kind),
    "div": lambda e, kind, a, b: e.div(a, b),
    "neg": lambda e, kind, x: e.neg(x, kind),
    "abs": lambda e, kind, x: e.called("llvm.fabs", x),
    "sqrt": lambda e, kind, x: e.called("llvm.sqrt", x),
    "rsqrt": lambda e, kind, x: e.div(e.number(1), e.called("llvm.sqrt", x)),
    "reciprocal": lambda e, kind, x: e.div(e.number(1), x),
    "exp": _by("exp"),
    "log": _by("log"),
    "tanh": _by("tanh"),
    "sigmoid": _by("sigmoid"),
    "erf": _by("erf"),
    "expm1": _outside("expm1"),
    "log1p": _outside("log1p"),
    "sin": _outside("sin"),
    "cos": _outside("cos"),
    "relu": _relu,
    "sign": _sign,
    "floor": lambda e, kind, x: e.called("llvm.floor", x),
    "maximum": lambda e, kind, a, b: e.larger(a, b, kind),
    "minimum": lambda e, kind, a, b: e.smaller(a, b, kind),
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": lambda e, kind, x, most: e.smaller(x, most, kind),
    "logical_and": lambda e, kind, a, b: e.mul(a, b, "bool"),
    "logical_or": lambda e, kind, a, b: e.add(a, b, "bool"),
    "bitwise_and": lambda e, kind, a, b: e.builder.and_(a, b),
    "bitwise_or": lambda e, kind, a, b: e.builder.or_(a, b),
    "bitwise_xor": lambda e, kind, a, b: e.builder.xor(a, b),
    "bitwise_right_shift": lambda e, kind, a, b: e.builder.ashr(a, b),
    "logical_not": lambda e, kind, a: e.builder.not_(a),
    "bitwise_not": lambda e, kind, a: e.builder.not_(a),
    "_to_copy": lambda e, kind, x: x,
    "convert_element_type": lambda e, kind, x: x,
}
"""Of which all arguments are converted into the result's kind first."""

ONLY_REAL = {
    "div", "abs", "sqrt", "rsqrt", "reciprocal", "exp", "log", "tanh", "sigmoid", "erf", "expm1", "log1p", "sin",
    "cos", "floor",
}  # fmt: skip

TESTS = {"isnan": "!="}
"""Comparisons of a number with itself."""

COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

POWERS: dict[float, Operation] = {
    2.0: lambda e, kind, x: e.mul(x, x, kind),
    3.0: lambda e, kind, x: e.mul(e.mul(x, x, kind), x, kind),
    4.0: lambda e, kind, x: e.mul(e.mul(x, x, kind), e.mul(x, x, kind), kind),
    0.5: lambda e, kind, x: e.called("llvm.sqrt", x),
    -0.5: lambda e, kind, x: e.div(e.number(1), e.called("llvm.sqrt", x)),
    -1.0: lambda e, kind, x: e.div(e.number(1), x),
    -2.0: lambda e, kind, x: e.div(e.number(1), e.mul(x, x, kind)),
}


def name_of(target: Any) -> str:
    """The operation's name without its overload: "add" of `aten.add.Tensor`."""
    packet = getattr(target, "overloadpacket", None)
    return packet.__name__ if packet is not None else getattr(target, "__name__", str(target))
