"""The row values that follow from what a pass measured, as native code between the passes of a step."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from llvmlite import ir

from thalweg.numerics.symbol import Symbol
from thalweg.population.native.compiled import Compiled
from thalweg.population.native.emitter import INT, POINTER, Emitter, Value
from thalweg.population.native.loops import with_index
from thalweg.recipes.measured_rows import measured_rows
from thalweg.recipes.row_table import evaluate
from thalweg.recipes.stages import Reduction
from thalweg.recipes.trace import Program

DOUBLE = ir.DoubleType()

FRAME = (
    "counter", "lines", "blocks", "rows", "planned", "step", "table", "partials", "owners", "sizes", "measured",
)  # fmt: skip
"""The int64 numbers of a frame, which begins like those of passes.

lines, blocks, rows: counts. planned: address of float64 `[lines, values]`, of `measured_rows(program).planned`, or of
one line for all; step: numbers from line to line. table: address of the next pass's `[lines, columns]`. partials: of
float64 `[reductions, blocks]`, by the last pass; owners: of int64 `[blocks]`, their rows. sizes: of float64 `[rows]`,
elements. measured: of float64 `[all reductions, rows]`. Lines are rows, or one line serves all.
"""


@cache
def prepares(program: Program, stage: int, *, double: bool) -> Compiled:
    """The function `prepare(frame)`, which writes the table of a stage from what the one before it measured."""
    module = ir.Module(name="rows")
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), "prepare")
    builder = ir.IRBuilder(function.append_basic_block("start"))
    _Preparation(builder, program, stage, double=double).emit(function.args[0])
    builder.ret_void()
    return Compiled(str(module))


class _Preparation:
    def __init__(self, builder: ir.IRBuilder, program: Program, stage: int, *, double: bool) -> None:
        rows = measured_rows(program)
        assert rows is not None
        self._builder, self._rows = builder, rows
        self._e, self._number = Emitter(builder, double=True), DOUBLE if double else ir.FloatType()
        self._columns = program.stages[stage].columns
        self._before = program.stages[stage - 1].reductions if stage else ()

    def emit(self, frame: Value) -> None:
        b = self._builder
        self._at = {name: b.load(b.gep(frame, [INT(i)], source_etype=INT), typ=INT) for i, name in enumerate(FRAME)}
        for j, reduction in enumerate(self._before):
            self._combine(j, reduction)
        if self._columns:
            with_index(b, self._at["lines"], self._line)

    def _combine(self, j: int, reduction: Reduction) -> None:
        """Adds a row's partial sums in order, rounded as by `CompiledRows.finished`; each row has a shared norm."""
        b, e = self._builder, self._e
        place = self._rows.reductions.index(reduction.name)
        with_index(b, self._at["rows"], lambda r: b.store(e.number(0), self._measured(place, r)))

        def add(i: Value) -> None:
            row = b.load(self._place("owners", i), typ=INT)
            part = b.load(self._place("partials", b.add(b.mul(INT(j), self._at["blocks"]), i)), typ=DOUBLE)
            into = self._measured(place, row)
            b.store(e.add(b.load(into, typ=DOUBLE), part), into)

        def finish(r: Value) -> None:
            into = self._measured(place, r)
            value = b.load(into, typ=DOUBLE)
            mean = reduction.op == "mean"
            size = b.load(self._place("sizes", r), typ=DOUBLE) if mean else None
            b.store(e.div(value, size) if mean else e.called("llvm.sqrt", value), into)

        with_index(b, self._at["blocks"], add)
        with_index(b, self._at["rows"], finish)
        if reduction.shared:
            self._join(place)

    def _join(self, place: int) -> None:
        """The norm of all rows in each, from the norms of the rows, as `driver.joint_norm`."""
        b, e = self._builder, self._e
        with b.goto_entry_block():
            total = b.alloca(DOUBLE)
        b.store(e.number(0), total)

        def add(r: Value) -> None:
            norm = b.load(self._measured(place, r), typ=DOUBLE)
            b.store(e.add(b.load(total, typ=DOUBLE), e.mul(norm, norm)), total)

        with_index(b, self._at["rows"], add)
        whole = e.called("llvm.sqrt", b.load(total, typ=DOUBLE))
        with_index(b, self._at["rows"], lambda r: b.store(whole, self._measured(place, r)))

    def _line(self, line: Value) -> None:
        b = self._builder
        begin = b.mul(line, self._at["step"])
        known: dict[int, Any] = {
            symbol.key: b.load(self._place("planned", b.add(begin, INT(i))), typ=DOUBLE)
            for i, symbol in enumerate(self._rows.planned.columns)
        }
        for i, column in enumerate(self._columns):
            value = evaluate(column, lambda leaf: self._leaf(leaf, line), self._operations(), known)
            place = b.add(b.mul(line, INT(len(self._columns))), INT(i))
            b.store(
                value if self._number is DOUBLE else b.fptrunc(value, self._number),
                b.gep(b.inttoptr(self._at["table"], POINTER), [place], source_etype=self._number),
            )

    def _leaf(self, leaf: Symbol, line: Value) -> Value:
        """A measurement: all else is planned."""
        place = self._rows.reductions.index(str(leaf.name))
        return self._builder.load(self._measured(place, line), typ=DOUBLE)

    def _measured(self, place: int, row: Value) -> Value:
        return self._place("measured", self._builder.add(self._builder.mul(INT(place), self._at["rows"]), row))

    def _place(self, name: str, index: Value) -> Value:
        return self._builder.gep(
            self._builder.inttoptr(self._at[name], POINTER), [index], source_etype=INT if name == "owners" else DOUBLE
        )

    def _operations(self) -> Mapping[str, Callable[..., Value]]:
        """Of numbers: a comparison's result is 1 or 0."""
        e = self._e
        compare: Sequence[tuple[str, str]] = (("eq", "=="), ("lt", "<"), ("le", "<="))
        return {
            "add": e.add,
            "sub": e.sub,
            "mul": e.mul,
            "div": e.div,
            "neg": e.neg,
            "abs": lambda x: e.called("llvm.fabs", x),
            "sqrt": lambda x: e.called("llvm.sqrt", x),
            "max": e.larger,
            "min": e.smaller,
            "where": lambda c, x, y: e.chosen(e.compared("!=", c, e.number(0)), x, y),
            **{name: lambda a, b, sign=sign: self._compared(sign, a, b) for name, sign in compare},
        }

    def _compared(self, sign: str, a: Value, b: Value) -> Value:
        return self._e.converted(self._e.compared(sign, a, b), "bool", "real")
