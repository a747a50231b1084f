"""Arithmetic as LLVM instructions: of real numbers of one dtype, whole numbers and truth values."""

import math
from typing import Any

import torch
from llvmlite import ir

INT, WORD, BIT, BYTE, POINTER = ir.IntType(64), ir.IntType(32), ir.IntType(1), ir.IntType(8), ir.PointerType()
CONTRACT, REASSOCIATE = ("contract",), ("reassoc",)
Value = Any  # of llvmlite, which has no types

KINDS = {torch.float32: "real", torch.float64: "real", torch.int64: "int", torch.bool: "bool"}


class Emitter:
    """Emits into a builder. double: whether real numbers are float64, else float32. flags: of sums and products.

    By default each is rounded by itself, as in torch: a fused one makes of `a * a - a * a` what is not 0.

    Values have a kind: "real", "int" (64 bits) or "bool".
    """

    def __init__(self, builder: ir.IRBuilder, *, double: bool, flags: tuple[str, ...] = ()) -> None:
        self.builder, self.double, self.flags = builder, double, flags
        self.real = ir.DoubleType() if double else ir.FloatType()

    def type_of(self, kind: str) -> Any:
        return {"real": self.real, "int": INT, "bool": BIT}[kind]

    def number(self, value: float, kind: str = "real") -> Value:
        """A constant."""
        if kind == "real":
            return ir.Constant(self.real, float(value))
        if kind == "bool":
            return ir.Constant(BIT, int(value > 0 if math.isinf(value) else value != 0))
        if value in (math.inf, -math.inf):  # before all in a search for the least or the largest
            return ir.Constant(INT, (1 << 63) - 1 if value > 0 else -(1 << 63))
        return ir.Constant(INT, int(value))

    def converted(self, value: Value, kind: str, to: str) -> Value:
        b = self.builder
        if kind == to:
            return value
        if to == "bool":
            return self.compared("!=", value, self.number(0, kind), kind)
        if to == "int":
            return b.zext(value, INT) if kind == "bool" else b.fptosi(value, INT)
        return b.uitofp(value, self.real) if kind == "bool" else b.sitofp(value, self.real)

    def add(self, a: Value, b: Value, kind: str = "real", flags: tuple[str, ...] = ()) -> Value:
        if kind == "bool":
            return self.builder.or_(a, b)
        return self.builder.fadd(a, b, flags=flags or self.flags) if kind == "real" else self.builder.add(a, b)

    def sub(self, a: Value, b: Value, kind: str = "real") -> Value:
        return self.builder.fsub(a, b, flags=self.flags) if kind == "real" else self.builder.sub(a, b)

    def mul(self, a: Value, b: Value, kind: str = "real") -> Value:
        if kind == "bool":
            return self.builder.and_(a, b)
        return self.builder.fmul(a, b, flags=self.flags) if kind == "real" else self.builder.mul(a, b)

    def div(self, a: Value, b: Value) -> Value:
        return self.builder.fdiv(a, b)

    def neg(self, a: Value, kind: str = "real") -> Value:
        return self.builder.fneg(a) if kind == "real" else self.builder.neg(a)

    def compared(self, sign: str, a: Value, b: Value, kind: str = "real") -> Value:
        """Whether a < b and so on; with NaN only != holds."""
        if kind != "real":
            return self.builder.icmp_signed(sign, a, b) if kind == "int" else self.builder.icmp_unsigned(sign, a, b)
        return self.builder.fcmp_unordered(sign, a, b) if sign == "!=" else self.builder.fcmp_ordered(sign, a, b)

    def chosen(self, condition: Value, a: Value, b: Value) -> Value:
        return self.builder.select(condition, a, b)

    def larger(self, a: Value, b: Value, kind: str = "real") -> Value:
        """The larger; NaN of either stays NaN, as in torch."""
        return self._extreme(">", a, b, kind)

    def smaller(self, a: Value, b: Value, kind: str = "real") -> Value:
        return self._extreme("<", a, b, kind)

    def _extreme(self, sign: str, a: Value, b: Value, kind: str) -> Value:
        takes = self.compared(sign, b, a, kind)
        if kind == "real":
            takes = self.builder.or_(takes, self.builder.fcmp_unordered("uno", b, b))
        return self.chosen(takes, b, a)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        return self.builder.fma(a, b, c)

    def called(self, name: str, *arguments: Value) -> Value:
        """An intrinsic of LLVM, such as `llvm.sqrt`, on arguments of one type."""
        module, kind = self.builder.module, arguments[0].type
        suffix = "f64" if kind == ir.DoubleType() else "f32"
        function = module.globals.get(f"{name}.{suffix}")
        if function is None:
            function = ir.Function(module, ir.FunctionType(kind, [kind] * len(arguments)), f"{name}.{suffix}")
        return self.builder.call(function, arguments)

    def outside(self, name: str, value: Value) -> Value:
        """A function of C's library, of one number."""
        name = name if self.double else f"{name}f"
        module = self.builder.module
        function = module.globals.get(name)
        if function is None:
            function = ir.Function(module, ir.FunctionType(self.real, [self.real]), name)
        return self.builder.call(function, [value])
