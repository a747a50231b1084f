"""The LLVM source of a native program: one evaluation of a batch, and an interval of whole steps of one run."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from thalweg.population.native.body import Body
from thalweg.population.native.compiled import PRODUCT
from thalweg.population.native.emitter import BIT, BYTE, INT, POINTER, WORD, Emitter, Value
from thalweg.population.native.loops import blocks_of, emit_nest, with_index
from thalweg.population.native.products import Matrices, MatrixProduct

FLUSHES = platform.machine() in ("x86_64", "AMD64")
FLUSH = 0x8040  # of x86's control word: subnormal results and arguments are 0

FRAME = (
    "steps", "bases", "indices", "losses", "updates", "frames", "functions", "tables", "widths", "sources", "flush",
    "keys",
)  # fmt: skip
"""The int64 numbers of an interval's frame.

steps: how many. bases: address of the table of blocks. indices: address of int64 `[steps, batch]`. losses: of float64
`[steps]`. updates: how many passes update the parameters; frames, functions, tables, widths: addresses of int64
`[updates]`: each pass's frame, its function, its first table and the bytes between the tables of two steps. sources:
address of int64 `[inputs]`, the addresses of the samples. flush: bits of the control word while the passes run: `FLUSH`
where none of them depends on subnormal numbers, else 0. keys: address of int64 `[steps, sites]`, if there are sites.
"""

KEYS = "keys"  # the block of the keys of random operations


@dataclass(frozen=True)
class Input:
    """An input or the targets, `[batch, …]`. row: bytes of a sample."""

    block: str
    row: int


@dataclass(frozen=True)
class MemoryLayout:
    """slots: places of the blocks in the table of addresses; others lie in the block "workspace", at `offsets`.

    loss: the block of the loss. after: (new value, buffer, bytes) of the buffers. batch: samples. sites: random
    operations.
    """

    slots: Mapping[str, int]
    offsets: Mapping[str, int]
    inputs: Sequence[Input]
    loss: str
    after: Sequence[tuple[str, str, int]]
    batch: int
    sites: int = 0


def source(items: Sequence[Body | MatrixProduct], layout: MemoryLayout, *, double: bool) -> str:
    """The module's source: `evaluate(bases)`, and for a step of training `interval(frame)`.

    The latter returns how many steps it completed.
    """
    module = ir.Module(name="native")
    made = _Source(module, layout, double=double)
    evaluate = made.evaluate(items)
    if layout.loss:
        made.interval(evaluate)
    return str(module)


class _Source:
    def __init__(self, module: ir.Module, layout: MemoryLayout, *, double: bool) -> None:
        self._module, self._layout, self._double = module, layout, double

    def evaluate(self, items: Sequence[Body | MatrixProduct]) -> ir.Function:
        function = ir.Function(self._module, ir.FunctionType(ir.VoidType(), [POINTER]), "evaluate")
        builder = ir.IRBuilder(function.append_basic_block("start"))
        self._carry_out(builder, function.args[0], items)
        builder.ret_void()
        return function

    def _carry_out(self, builder: ir.IRBuilder, bases: Value, items: Sequence[Body | MatrixProduct]) -> None:
        nests: dict[str, ir.Function] = {}
        for item in items:
            if isinstance(item, MatrixProduct):
                self._product(builder, bases, item)
                continue
            key = repr(_anonymous(item))
            if key not in nests:
                nests[key] = emit_nest(self._module, f"nest_{len(nests)}", item, double=self._double)
            builder.call(nests[key], [self._pointer(builder, bases, b) for b in blocks_of(item)])

    @contextmanager
    def _flushing(self, builder: ir.IRBuilder, bits: Value) -> Iterator[None]:
        """Takes subnormal float32 numbers for 0 meanwhile, on x86, where they take a hundred times as long."""
        if self._double or not FLUSHES:
            yield
            return
        kind = ir.FunctionType(ir.VoidType(), [POINTER])
        names = [f"llvm.x86.sse.{name}mxcsr" for name in ("st", "ld")]
        store, load = (self._module.globals.get(n) or ir.Function(self._module, kind, n) for n in names)
        with builder.goto_entry_block():
            before, within = builder.alloca(WORD), builder.alloca(WORD)
        builder.call(store, [before])
        builder.store(builder.or_(builder.load(before, typ=WORD), bits), within)
        builder.call(load, [within])
        yield
        builder.call(load, [before])

    def _pointer(self, builder: ir.IRBuilder, bases: Value, block: str) -> Value:
        slot = self._layout.slots.get(block, self._layout.slots["workspace"])
        address = builder.load(builder.gep(bases, [INT(slot)], source_etype=INT), typ=INT)
        pointer = builder.inttoptr(address, POINTER)
        if block in self._layout.slots:
            return pointer
        return builder.gep(pointer, [INT(self._layout.offsets[block])], source_etype=BYTE)

    def _product(self, builder: ir.IRBuilder, bases: Value, item: MatrixProduct) -> None:
        e = Emitter(builder, double=self._double)
        held = {m.block: self._pointer(builder, bases, m.block) for m in (item.a, item.b, item.c)}

        def one(i: Value) -> None:
            places = [self._matrix(e, held[m.block], m, i) for m in (item.a, item.b, item.c)]
            modes = [BYTE(ord(m.transposed)) for m in (item.a, item.b)]
            sizes = (item.m, item.n, item.k, item.a.leading, item.b.leading, item.c.leading)
            builder.call(self._multiply(), [*places, *modes, *(WORD(n) for n in sizes)])

        with_index(builder, item.count, one)

    @staticmethod
    def _matrix(e: Emitter, pointer: Value, of: Matrices, i: Value) -> Value:
        place = e.builder.add(e.builder.mul(i, INT(of.step)), INT(of.offset))
        return e.builder.gep(pointer, [place], source_etype=e.real)

    def _multiply(self) -> ir.Function:
        """A product by BLAS, whose arguments are all addresses."""
        function = self._module.globals.get("multiply")
        if function is not None:
            return function
        kinds = [POINTER] * 3 + [BYTE] * 2 + [WORD] * 6
        function = ir.Function(self._module, ir.FunctionType(ir.VoidType(), kinds), "multiply")
        function.linkage = "internal"
        function.attributes.add("noinline")
        gemm = ir.Function(self._module, ir.FunctionType(ir.VoidType(), [POINTER] * 13), PRODUCT)
        builder = ir.IRBuilder(function.append_basic_block("start"))
        real = Emitter(builder, double=self._double).real
        given = [self._kept(builder, argument) for argument in function.args[3:]]
        one, zero = (self._kept(builder, ir.Constant(real, x)) for x in (1.0, 0.0))
        a, b, c = function.args[:3]
        ta, tb, m, n, k, lda, ldb, ldc = given
        builder.call(gemm, [ta, tb, m, n, k, one, a, lda, b, ldb, zero, c, ldc])
        builder.ret_void()
        return function

    @staticmethod
    def _kept(builder: ir.IRBuilder, value: Value) -> Value:
        place = builder.alloca(value.type)
        builder.store(value, place)
        return place

    def interval(self, evaluate: ir.Function) -> None:
        function = ir.Function(self._module, ir.FunctionType(INT, [POINTER]), "interval")
        builder = ir.IRBuilder(function.append_basic_block("start"))
        frame = {
            name: builder.load(builder.gep(function.args[0], [INT(i)], source_etype=INT), typ=INT)
            for i, name in enumerate(FRAME)
        }
        bases = builder.inttoptr(frame["bases"], POINTER)
        stop = function.append_basic_block("stop")
        stops: list[tuple[Value, Any]] = []

        def step(i: Value) -> None:
            self._gather(builder, frame, bases, i)
            self._turn_keys(builder, frame, bases, i)
            builder.call(evaluate, [bases])
            loss = self._loss(builder, frame, bases, i)
            going = function.append_basic_block("going")
            builder.cbranch(self._goes_on(builder, bases, loss), going, stop)
            stops.append((i, builder.block))
            builder.position_at_end(going)
            self._update(builder, frame, i)
            self._renew(builder, bases)

        with_index(builder, frame["steps"], step)
        builder.ret(frame["steps"])
        builder.position_at_end(stop)
        done = builder.phi(INT)
        for i, block in stops:
            done.add_incoming(i, block)
        builder.ret(done)

    def _gather(self, builder: ir.IRBuilder, frame: Mapping[str, Value], bases: Value, i: Value) -> None:
        """Copies the samples of the batch."""
        batch = self._layout.batch
        indices = _at(builder, frame["indices"], builder.mul(i, INT(batch)))
        for place, given in enumerate(self._layout.inputs):
            source = builder.inttoptr(builder.load(_at(builder, frame["sources"], INT(place)), typ=INT), POINTER)
            into = self._pointer(builder, bases, given.block)

            def copy(row: Value, given: Input = given, source: Value = source, into: Value = into) -> None:
                sample = builder.load(builder.gep(indices, [row], source_etype=INT), typ=INT)
                begin = builder.gep(source, [builder.mul(sample, INT(given.row))], source_etype=BYTE)
                end = builder.gep(into, [builder.mul(row, INT(given.row))], source_etype=BYTE)
                self._copy(builder, end, begin, given.row)

            with_index(builder, batch, copy)

    def _turn_keys(self, builder: ir.IRBuilder, frame: Mapping[str, Value], bases: Value, i: Value) -> None:
        """Points the block of keys to those of the step."""
        if self._layout.sites:
            keys = builder.add(frame["keys"], builder.mul(i, INT(8 * self._layout.sites)))
            builder.store(keys, builder.gep(bases, [INT(self._layout.slots[KEYS])], source_etype=INT))

    def _copy(self, builder: ir.IRBuilder, into: Value, source: Value, size: int) -> None:
        name = "llvm.memcpy.p0.p0.i64"
        function = self._module.globals.get(name)
        if function is None:
            kinds = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, INT, BIT])
            function = ir.Function(self._module, kinds, name)
        builder.call(function, [into, source, INT(size), BIT(0)])

    def _loss(self, builder: ir.IRBuilder, frame: Mapping[str, Value], bases: Value, i: Value) -> Value:
        real = ir.DoubleType() if self._double else ir.FloatType()
        loss = builder.load(self._pointer(builder, bases, self._layout.loss), typ=real)
        loss = loss if self._double else builder.fpext(loss, ir.DoubleType())
        builder.store(loss, builder.gep(builder.inttoptr(frame["losses"], POINTER), [i], source_etype=ir.DoubleType()))
        return loss

    def _goes_on(self, builder: ir.IRBuilder, bases: Value, loss: Value) -> Value:
        """Whether the loss is finite and no index was out of range."""
        e = Emitter(builder, double=True)
        finite = e.compared("<", e.called("llvm.fabs", loss), e.number(float("inf")))
        errors = builder.load(self._pointer(builder, bases, "errors"), typ=INT)
        return builder.and_(finite, builder.icmp_signed("==", errors, INT(0)))

    def _update(self, builder: ir.IRBuilder, frame: Mapping[str, Value], i: Value) -> None:
        """Calls the passes that update the parameters. A frame has a counter's address first, and the table's fifth."""

        def one(j: Value) -> None:
            own, function, table, width = (
                builder.load(_at(builder, frame[name], j), typ=INT)
                for name in ("frames", "functions", "tables", "widths")
            )
            counter = builder.load(_at(builder, own, INT(0)), typ=INT)
            builder.store(INT(0), builder.inttoptr(counter, POINTER))
            builder.store(builder.add(table, builder.mul(i, width)), _at(builder, own, INT(4)))
            kind = ir.FunctionType(ir.VoidType(), [POINTER])
            builder.call(builder.inttoptr(function, kind.as_pointer()), [builder.inttoptr(own, POINTER)])

        with self._flushing(builder, builder.trunc(frame["flush"], WORD)):
            with_index(builder, frame["updates"], one)

    def _renew(self, builder: ir.IRBuilder, bases: Value) -> None:
        """Copies the new values of the buffers."""
        for new, buffer, size in self._layout.after:
            self._copy(builder, self._pointer(builder, bases, buffer), self._pointer(builder, bases, new), size)


def _at(builder: ir.IRBuilder, address: Value, place: Value) -> Value:
    return builder.gep(builder.inttoptr(address, POINTER), [place], source_etype=INT)


def _anonymous(body: Body) -> Any:
    """The body with its blocks numbered, so that equal bodies over other blocks share a function."""
    names = {block: str(i) for i, block in enumerate(blocks_of(body))}
    instructions = [
        i._replace(access=i.access._replace(block=names.get(i.access.block, ""))) if hasattr(i, "access") else i
        for i in body.instructions
    ]
    first = [(names[p.block], p.shape, p.layout.stride(), p.layout.storage_offset(), p.dtype, v) for p, v in body.first]
    return body.shape, instructions, first
