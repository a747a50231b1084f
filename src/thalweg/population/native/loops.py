"""Loop nests as LLVM functions of the blocks that they touch, which do not overlap."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from thalweg.population.native.body import Body, Check, Compute, Constant, Load, Position, Take, Write
from thalweg.population.native.emitter import BYTE, INT, KINDS, POINTER, REASSOCIATE, Emitter, Value
from thalweg.population.native.operations import ARITHMETIC, COMPARISONS, POWERS, TESTS
from thalweg.population.native.places import Access, Place, Unsupported

ERRORS = "errors"  # the block of one number that an index out of range makes 1
SHORT = 1 << 12  # float32 numbers that the innermost loops add in float32, at most; more are added in float64
LONGEST = 1 << 16  # numbers that outer loops add to one float32 element, one after the other, at most
DOUBLE = ir.DoubleType()


def blocks_of(body: Body) -> list[str]:
    """The blocks that a body touches, each once."""
    named = [a.block for a in body.accesses if a.block] + [place.block for place, _ in body.first]
    checked = [ERRORS] if any(isinstance(i, Check) or getattr(i, "terms", ()) for i in body.instructions) else []
    return [*dict.fromkeys(named + checked)]


def emit_nest(module: ir.Module, name: str, body: Body, *, double: bool) -> ir.Function:
    """A function of pointers to `blocks_of` the body."""
    blocks = blocks_of(body)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER] * len(blocks)), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    for argument in function.args:
        argument.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block("start"))
    emitter = Emitter(builder, double=double)
    pointers = dict(zip(blocks, function.args, strict=True))
    for place, value in body.first:
        _fill(emitter, pointers, place, value)
    _Nest(emitter, pointers, body).emit()
    builder.ret_void()
    return function


def _fill(e: Emitter, pointers: dict[str, Value], place: Place, value: float) -> None:
    access, shape = place.access(place.shape), place.shape
    number = e.number(value, KINDS[place.dtype])

    def store(indices: Sequence[Value]) -> None:
        _store(e, element(e, pointers, access, indices), number, KINDS[place.dtype])

    loops(e.builder, shape, store)


def loops(builder: ir.IRBuilder, shape: Sequence[int], inner: Callable[[list[Value]], None]) -> None:
    """Loops over a shape, the last dimension innermost. inner: emits what happens at the indices that it is given."""
    if 0 in shape:
        raise Unsupported("loops over nothing have no native form")

    def nested(indices: list[Value]) -> None:
        if len(indices) == len(shape):
            inner(indices)
            return
        with_index(builder, shape[len(indices)], lambda i: nested([*indices, i]))

    nested([])


def with_index(builder: ir.IRBuilder, count: int | Value, inner: Callable[[Value], None]) -> None:
    """A loop of the index from 0 to `count`, at least once."""
    if count == 1:
        inner(INT(0))
        return
    before, function = builder.block, builder.function
    start, end = function.append_basic_block("loop"), function.append_basic_block("end")
    builder.branch(start)
    builder.position_at_end(start)
    index = builder.phi(INT)
    index.add_incoming(INT(0), before)
    inner(index)
    following = builder.add(index, INT(1), flags=("nsw", "nuw"))
    index.add_incoming(following, builder.block)
    more = builder.icmp_signed("<", following, INT(count) if isinstance(count, int) else count)
    builder.cbranch(more, start, end)
    builder.position_at_end(end)


def position(e: Emitter, access: Access, indices: Sequence[Value]) -> Value:
    """The element of a place at these indices."""
    total: Any = INT(access.offset)
    for index, stride in zip(indices, access.strides, strict=True):
        if stride:
            scaled = index if stride == 1 else e.builder.mul(index, INT(stride), flags=("nsw",))
            total = scaled if total == INT(0) else e.builder.add(scaled, total, flags=("nsw",))
    return total


def element(
    e: Emitter, pointers: dict[str, Value], access: Access, indices: Sequence[Value], more: Any = None
) -> Value:
    """The address of a place's element, `more` elements further."""
    place = position(e, access, indices)
    place = place if more is None else e.builder.add(place, more)
    return e.builder.gep(pointers[access.block], [place], source_etype=_stored(e, KINDS[access.dtype]))


def _stored(e: Emitter, kind: str) -> Any:
    return BYTE if kind == "bool" else e.type_of(kind)


def _load(e: Emitter, address: Value, kind: str) -> Value:
    value = e.builder.load(address, typ=_stored(e, kind))
    return e.builder.trunc(value, e.type_of("bool")) if kind == "bool" else value


def _store(e: Emitter, address: Value, value: Value, kind: str) -> None:
    e.builder.store(e.builder.zext(value, BYTE) if kind == "bool" else value, address)


class _Nest:
    """Emits a body's loops, in the order in which memory is stepped through."""

    def __init__(self, e: Emitter, pointers: dict[str, Value], body: Body) -> None:
        self._e, self._pointers, self._body = e, pointers, body
        self._order, self._shape = _ordered(body)
        self._totals = {} if e.double else self._long_sums()

    def emit(self) -> None:
        self._nested([])

    def _nested(self, indices: list[Value]) -> None:
        """Emits the loops within those of the indices, and the long sums that these make."""
        b, own = self._e.builder, [write for write, (depth, _) in self._totals.items() if depth == len(indices)]
        for write in own:
            b.store(DOUBLE(0.0), self._totals[write][1])
        if len(indices) == len(self._shape):
            self._element(indices)
        else:
            with_index(b, self._shape[len(indices)][0], lambda i: self._nested([*indices, i]))
        for write in own:
            total = b.fptrunc(b.load(self._totals[write][1], typ=DOUBLE), self._e.real)
            self._write(write, [*indices, *[INT(0)] * (len(self._shape) - len(indices))], total)

    def _long_sums(self) -> dict[Write, tuple[int, Value]]:
        """Sums of more than `SHORT` float32 numbers in the innermost loops: (loops around them, a float64 to add in).

        In float32 the error grows with what is added one after the other, as wherever LLVM does not vectorize the loop
        (a function of C's library is called in it). Raises `Unsupported` where outer loops add too many to one element.
        """
        found: dict[Write, tuple[int, Value]] = {}
        builder = self._e.builder
        for write in (i for i in self._body.instructions if isinstance(i, Write) and i.mode == "add" and not i.terms):
            if KINDS[write.access.dtype] != "real":
                continue
            strides, sizes = self._access(write.access).strides, [size for size, _ in self._shape]
            depth = max((place for place, stride in enumerate(strides, 1) if stride), default=0)
            if math.prod(n for n, stride in zip(sizes[:depth], strides, strict=False) if not stride) > LONGEST:
                raise Unsupported("a sum of so many numbers, one after the other, has no native form in float32")
            if math.prod(sizes[depth:]) > SHORT:
                with builder.goto_entry_block():
                    found[write] = depth, builder.alloca(DOUBLE)
        return found

    def _element(self, indices: list[Value]) -> None:
        values: list[Any] = []
        for instruction, kind in zip(self._body.instructions, self._body.kinds, strict=True):
            values.append(self._instruction(instruction, kind, values, indices))

    def _access(self, access: Access) -> Access:
        """The access in the order of the loops, of which some are joined."""
        return access._replace(strides=tuple(access.strides[d] for _, d in self._shape))

    def _instruction(self, instruction: Any, kind: str, values: list[Any], indices: list[Value]) -> Value:
        e = self._e
        if isinstance(instruction, Compute):
            return self._computed(instruction, kind, values)
        if isinstance(instruction, Check):
            return self._checked(values[instruction.value], instruction.size)
        access = self._access(instruction.access)
        if isinstance(instruction, Position):
            return position(e, access, indices)
        if instruction in self._totals:
            self._totalled(self._totals[instruction][1], values[instruction.value])
            return None
        more = self._index(instruction, values)
        address = element(e, self._pointers, access, indices, more)
        if isinstance(instruction, Load | Take):
            return _load(e, address, kind)
        self._stored(instruction, address, values[instruction.value])
        return None

    def _index(self, instruction: Any, values: list[Any]) -> Value:
        """What indices that are values add to the place; one out of range counts as 0 and leaves an error."""
        e, total = self._e, None
        for term in getattr(instruction, "terms", ()):
            index = values[term.value]
            if instruction.wraps:
                below = e.compared("<", index, INT(0), "int")
                index = e.chosen(below, e.add(index, INT(term.size), "int"), index)
            inside = self._checked(index, term.size)
            scaled = e.builder.mul(e.chosen(inside, index, INT(0)), INT(term.stride))
            total = scaled if total is None else e.builder.add(total, scaled)
        return total

    def _checked(self, index: Value, size: int) -> Value:
        """Whether an index is in range; if not, that is left as an error."""
        e, flag = self._e, self._pointers[ERRORS]
        inside = e.builder.icmp_unsigned("<", index, INT(size))
        seen = e.builder.load(flag, typ=INT)
        e.builder.store(e.builder.or_(seen, e.builder.zext(e.builder.not_(inside), INT)), flag)
        return inside

    def _totalled(self, total: Value, value: Value) -> None:
        b = self._e.builder
        b.store(b.fadd(b.load(total, typ=DOUBLE), b.fpext(value, DOUBLE), flags=REASSOCIATE), total)

    def _write(self, write: Write, indices: list[Value], value: Value) -> None:
        self._stored(write, element(self._e, self._pointers, self._access(write.access), indices), value)

    def _stored(self, store: Write, address: Value, value: Value) -> None:
        e, kind = self._e, KINDS[store.access.dtype]
        if kind == "bool" and store.mode != "set":  # on bytes, which LLVM takes for a reduction, not on bits
            combine = e.builder.and_ if store.mode == "smaller" else e.builder.or_
            e.builder.store(combine(e.builder.load(address, typ=BYTE), e.builder.zext(value, BYTE)), address)
            return
        if store.mode == "add":
            value = e.add(_load(e, address, kind), value, kind, REASSOCIATE)
        elif store.mode != "set":
            value = getattr(e, store.mode)(_load(e, address, kind), value, kind)
        _store(e, address, value, kind)

    def _computed(self, compute: Compute, kind: str, values: list[Any]) -> Value:
        e = self._e
        if compute.name == "constant":
            return e.number(compute.arguments[0].value, kind)
        if compute.name == "where":
            condition, *rest = [
                self._argument(a, "bool" if i == 0 else kind, values) for i, a in enumerate(compute.arguments)
            ]
            return e.chosen(condition, *rest)
        if compute.name == "masked_fill":
            source, condition, fill = compute.arguments
            chosen = self._argument(fill, kind, values), self._argument(source, kind, values)
            return e.chosen(self._argument(condition, "bool", values), *chosen)
        if compute.name == "pow":
            base, power = self._argument(compute.arguments[0], kind, values), compute.arguments[1].value
            return POWERS[power](e, kind, base) if power in POWERS else e.called("llvm.pow", base, e.number(power))
        arguments: Any = [None if a is None else self._argument(a, compute.within, values) for a in compute.arguments]
        if compute.name in TESTS:
            return e.compared(TESTS[compute.name], arguments[0], arguments[0], compute.within)
        if compute.name in COMPARISONS:
            return e.compared(COMPARISONS[compute.name], arguments[0], arguments[1], compute.within)
        return ARITHMETIC[compute.name](e, kind, *arguments)

    def _argument(self, argument: Any, kind: str, values: list[Any]) -> Value:
        if isinstance(argument, Constant):
            return self._e.converted(self._e.number(argument.value, argument.kind), argument.kind, kind)
        return self._e.converted(values[argument], self._body.kinds[argument], kind)


def _ordered(body: Body) -> tuple[list[int], list[tuple[int, int]]]:
    """The dimensions, outermost first, and the loops: (size, dimension whose strides it has).

    The longest strides are outermost, of what is written first. Neighbours that every access steps through as one are
    joined.
    """
    weighty = [i.access.strides for kind in (Write, Load) for i in body.instructions if isinstance(i, kind)]
    dims = [d for d, n in enumerate(body.shape) if n > 1]
    order = sorted(dims, key=lambda d: [-abs(strides[d]) for strides in _by_reach(weighty)])
    strides = [a.strides for a in body.accesses]
    joined: list[tuple[int, int]] = []
    for d in order:
        if joined:
            size, outer = joined[-1]
            if all(s[outer] == s[d] * body.shape[d] for s in strides):
                joined[-1] = (size * body.shape[d], d)
                continue
        joined.append((body.shape[d], d))
    return order, joined


def _by_reach(accesses: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Those with the most dimensions that they step through first."""
    return sorted(accesses, key=lambda strides: -sum(s != 0 for s in strides))
