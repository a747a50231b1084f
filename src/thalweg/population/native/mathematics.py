"""Exponentials and their kin as LLVM instructions that vectorize, in float32; float64 calls C's library.

A library function is called for one number at a time. Those of float32 are within two units in the last place.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from thalweg.population.native.emitter import CONTRACT, INT, WORD, Emitter, Value

ROUNDS = 12582912.0  # 3 · 2**22: added and taken off, it rounds a float32 to a whole number
LN2 = (0.693359375, -0.00021219444005469057)  # in two parts, the first short
EXP = (0.5, 0.16666667163, 0.04166646674, 0.00833331048, 0.00139336474, 0.00019890988)
LOG2 = (1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11, 1 / 13)
TANH = (-0.333332819422, 0.133314422036, -0.0537397155531, 0.0206390887954, -0.00570498872745)

ERF = (
    0.128379166673, -0.376126340282, 0.112836994257, -0.026859592311, 0.00520146686953, -0.000814720209803,
    8.38759106592e-05,
)  # fmt: skip
"""Of erf(x) / x - 1 by x², below 0.921875."""

ERFC = (
    -0.000328058662094, 1.13027117216, 0.63175221236, 0.110158154766, -0.0264702183842, 0.00477848202309,
    -0.000601168771822, 4.6613634665e-05, -1.66711300338e-06,
)  # fmt: skip
"""Of -log(erfc(x)) by x, from there to 3.93, where erf is 1 in float32."""


def function_of(e: Emitter, name: str, x: Value) -> Value:
    """`name` of x: "exp", "log", "tanh", "sigmoid" or "erf"."""
    if e.double:
        return _sigmoid(e, x) if name == "sigmoid" else e.outside(name, x)
    made = e.builder.module.globals.get(f"own_{name}")
    if made is None:
        made = ir.Function(e.builder.module, ir.FunctionType(e.real, [e.real]), f"own_{name}")
        made.linkage = "internal"
        made.attributes.add("alwaysinline")
        inner = Emitter(ir.IRBuilder(made.append_basic_block()), double=False, flags=CONTRACT)
        inner.builder.ret(_FLOAT[name](inner, made.args[0]))
    return e.builder.call(made, [x])


def series(e: Emitter, x: Value, coefficients: Sequence[float]) -> Value:
    """c0 + c1 x + c2 x² + …"""
    *rest, last = coefficients
    total = ir.Constant(x.type, last)
    for c in reversed(rest):
        total = e.builder.fadd(e.builder.fmul(total, x, flags=CONTRACT), ir.Constant(x.type, c), flags=CONTRACT)
    return total


def _exp(e: Emitter, x: Value) -> Value:
    """2**n · e**g, |g| ≤ ln 2 / 2, in two factors of 2, so that subnormal results are rounded once."""
    b, number = e.builder, e.number
    within = e.chosen(e.compared("<", x, number(89)), x, number(89))
    within = e.chosen(e.compared(">", within, number(-104.5)), within, number(-104.5))
    n = e.sub(e.fma(within, number(1.4426950408889634), number(ROUNDS)), number(ROUNDS))
    g = e.fma(e.neg(n), number(LN2[1]), e.fma(e.neg(n), number(LN2[0]), within))
    found = e.add(e.add(e.mul(e.mul(g, g), series(e, g, EXP)), g), number(1))
    whole = b.fptosi(n, WORD)
    half = b.ashr(whole, WORD(1))
    for part in (half, b.sub(whole, half)):
        power = b.bitcast(b.shl(b.add(part, WORD(127)), WORD(23)), e.real)
        found = e.mul(found, power)
    return e.chosen(b.fcmp_unordered("uno", x, x), x, found)


def _log(e: Emitter, x: Value) -> Value:
    """Computed in float64 and rounded once: by a series in (m - 1) / (m + 1), m between 0.7 and 1.4."""
    b, wide = e.builder, ir.DoubleType()
    d = Emitter(b, double=True, flags=CONTRACT)
    bits = b.bitcast(b.fpext(x, wide), INT)
    m = b.bitcast(b.or_(b.and_(bits, INT(0xFFFFFFFFFFFFF)), INT(0x3FF0000000000000)), wide)
    upper = d.compared(">", m, d.number(1.4142135623730951))
    m = d.chosen(upper, d.mul(d.number(0.5), m), m)
    power = b.bitcast(b.or_(b.ashr(bits, INT(52)), INT(0x4330000000000000)), wide)
    n = d.sub(power, d.chosen(upper, d.number(4503599627371518.0), d.number(4503599627371519.0)))
    s = d.div(d.sub(m, d.number(1)), d.add(m, d.number(1)))
    z = d.mul(s, s)
    found = d.add(s, d.mul(d.mul(s, z), series(d, z, LOG2)))
    found = d.add(d.mul(n, d.number(0.6931471805599453)), d.mul(d.number(2), found))
    small = b.fptrunc(found, e.real)
    small = e.chosen(e.compared("<", x, e.number(float("inf"))), small, x)
    below = e.chosen(e.compared("==", x, e.number(0)), e.number(float("-inf")), e.number(float("nan")))
    return e.chosen(e.compared(">", x, e.number(0)), small, below)


def _tanh(e: Emitter, x: Value) -> Value:
    """x + x³ P(x²) up to 0.625, beyond it 1 - 2 / (e**2|x| + 1)."""
    size = e.called("llvm.fabs", x)
    z = e.mul(x, x)
    near = e.add(x, e.mul(e.mul(x, z), series(e, z, TANH)))
    grown = function_of(e, "exp", e.add(size, size))
    far = e.sub(e.number(1), e.div(e.number(2), e.add(grown, e.number(1))))
    return e.chosen(e.compared("<", size, e.number(0.625)), near, e.called("llvm.copysign", far, x))


def _erf(e: Emitter, x: Value) -> Value:
    size = e.called("llvm.fabs", x)
    near = e.add(x, e.mul(x, series(e, e.mul(x, x), ERF)))
    within = e.chosen(e.compared("<", size, e.number(3.93)), size, e.number(3.93))
    far = e.sub(e.number(1), function_of(e, "exp", e.neg(series(e, within, ERFC))))
    found = e.chosen(e.compared("<", size, e.number(0.921875)), near, e.called("llvm.copysign", far, x))
    return e.chosen(e.builder.fcmp_unordered("uno", x, x), x, found)


def _sigmoid(e: Emitter, x: Value) -> Value:
    return e.div(e.number(1), e.add(e.number(1), function_of(e, "exp", e.neg(x))))


_FLOAT: dict[str, Callable[[Emitter, Any], Any]] = {
    "exp": _exp,
    "log": _log,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "erf": _erf,
}
