"""Code generation for Numba: a stage as the Python source of one function over memory.

The loop has no literals, no divisions by a row value and no powers of one, and only pointers, as arrays would double
the compile time. Names that are not a state's begin with an underscore, so that a state may have any name.
"""

from collections.abc import Mapping, Sequence

from thalweg.execution.cpu.mathematics import MATHEMATICS
from thalweg.execution.cpu.quantization_source import CALLS, CODES, blocks_of_codes
from thalweg.execution.cpu.templates import ADDRESSES, POINTER, REDUCING, SCALARS, TEMPLATE
from thalweg.execution.lowering.codegen_cache import indented
from thalweg.execution.lowering.streams import ways
from thalweg.execution.storage.codebook import BLOCK
from thalweg.execution.storage.rounding import FIRST, SECOND, stream_key
from thalweg.recipes.stages import Instruction, Reduction, Stage

EXPRESSIONS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "pow": "{0} ** {1}",
    "neg": "-{0}",
    "abs": "_abs({0})",
    "sqrt": "_sqrt({0})",
    "cbrt": "_copysign(_abs({0}) ** _third, {0})",  # Numba has no cube root
    "exp": "_exp({0})",
    "log": "_log({0})",
    "sign": "_real(({0} > _zero) - ({0} < _zero)) if {0} == {0} else {0}",
    "max": "{1} if ({0} <= {1} or {1} != {1}) else {0}",  # NaN on either side stays NaN, as in torch
    "min": "{1} if ({0} >= {1} or {1} != {1}) else {0}",
    "eq": "{0} == {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "where": "{1} if {0} != _zero else {2}",
}

VECTORIZED = {"pow": "_power({0}, {1})", "cbrt": "_cbrt({0})", "exp": "_exp({0})", "log": "_log({0})"}
"""Vectorized functions of float32, from `MATHEMATICS`, in place of a library's."""


def kernel(stage: Stage, storage: tuple[str, ...], *, stochastic: bool = False) -> str:
    """Generates the kernel's source. storage: the dtype of each stream (gradient, parameter, states).

    Each is "float32", "float64" or "bfloat16"; float64 mixes with no other. An additional stream, "int16", is the
    residual of a bfloat16 parameter. A state may be "uint8" (8-bit quantized): then the scales of each such state are
    the last streams. stochastic: "bfloat16" streams but the gradient are rounded stochastically. Reductions are summed
    by block, in float64: halves are added until eight numbers are left, so that the order never changes.
    """
    from thalweg import __version__

    held = ways(stage, storage, stochastic=stochastic)
    streams = [*held]
    coded, double = [stream for stream, kind in held.items() if kind == "uint8"], "float64" in storage
    places = [f"{s}_ = {_place(j, held[s])}" for j, s in enumerate(streams) if s not in coded]
    for j, s in enumerate(coded, start=len(streams)):
        places.append(f"_{s}_codes = _pointers[{streams.index(s)} * _rows + _r] + _start")
        places.append(f"_{s}_scales = _pointers[{j} * _rows + _r] + _start // {BLOCK} * 4")
        places.append(f"_{s}_numbers = _scratch()")
        places.append(f"{s}_ = _wide(_{s}_numbers)")
    return TEMPLATE.format(
        version=__version__,
        pointer=POINTER,
        parts=_parts(stage, coded=bool(coded), double=double),
        real="float64" if double else "float32",
        itemsize=8 if double else 4,
        first=FIRST,
        second=SECOND,
        width=len(stage.columns),
        columns=indented(4, [f"_k{j} = _k[{j}]" for j in range(len(stage.columns))]),
        places=indented(4, [*places, *(f"_v{j} = _numbers()" for j in range(len(stage.reductions)))]),
        loop=_blockwise(stage, held, coded) if coded or stage.reductions else _loop(stage, held, 4, "_n"),
    )


def _parts(stage: Stage, *, coded: bool, double: bool) -> str:
    """Source of the functions that the loop calls."""
    needs = not double and any(instruction.op in VECTORIZED for instruction in stage.body)
    reducing = REDUCING.format(block=BLOCK, halves=indented(1, _halves())) if stage.reductions else ""
    return (MATHEMATICS if needs else "") + (CALLS if coded else "") + reducing


def _loop(stage: Stage, held: Mapping[str, str], depth: int, bounds: str) -> str:
    """Source of the loop over the elements within the bounds."""
    streams, changed = [*held], [(name, value) for name, value in stage.outputs.items() if name != value]
    inner = [f"{s} = {_loaded(s, held[s])}" for s in streams if s != "_rest"]
    double = "float64" in held.values()
    inner += [_line(instruction, double=double) for instruction in stage.body]
    inner += [line for name, value in changed for line in _stored(name, value, held[name], streams)]
    inner += [_reduced(j, reduction) for j, reduction in enumerate(stage.reductions)]
    return "\n".join([indented(depth, [f"for _i in range({bounds}):"]), indented(depth + 1, inner)])


def _reduced(j: int, reduction: Reduction) -> str:
    """The line that leaves what an element adds to a reduction in its block's numbers."""
    value = f"numba.float64({reduction.value})"
    return f"_v{j}[_i - _first] = {value}" + ("" if reduction.op == "mean" else f" * {value}")


def _halves() -> list[str]:
    """Lines that add the upper half of a block's numbers to the lower one, until eight are left."""
    halves, lines = BLOCK // 2, list[str]()
    while halves >= 8:
        lines += [f"for i in range({halves}):", f"    values[i] += values[{halves} + i]"]
        halves //= 2
    return lines


def _blockwise(stage: Stage, held: Mapping[str, str], coded: Sequence[str]) -> str:
    """Source of the loop, a block at a time: around it 8-bit states are decoded and encoded, and sums added."""
    scale, n, sums = f"_{{0}}_scales + _first // {BLOCK} * 4", "_end - _first", range(len(stage.reductions))
    before = [f"_carried_out(_frame[12], _{s}_codes + _first, {scale.format(s)}, _{s}_numbers, {n})" for s in coded]
    changed = [s for s in coded if stage.outputs.get(s, s) != s]
    after = [f"_carried_out(_frame[13], _{s}_numbers, _{s}_codes + _first, {scale.format(s)}, {n})" for s in changed]
    after += [f"_sum{j} += _folded(_v{j}, {n})" for j in sums]
    lines = [*(f"_sum{j} = 0.0" for j in sums), f"for _first in range(0, _n, {BLOCK}):"]
    loop = _loop(stage, held, 5, "_first, _end")
    kept = [f"_doubles(_frame[11])[{j} * _blocks + _b] = _sum{j}" for j in sums]
    end = [f"    _end = min(_first + {BLOCK}, _n)"]
    return "\n".join([indented(4, [*lines, *end]), indented(5, before), loop, indented(5, after), indented(4, kept)])


def scalars(dtype: str) -> str:
    """Generates the source of functions that read and write single numbers of a dtype."""
    from thalweg import __version__

    return SCALARS.format(version=__version__, pointer=POINTER, dtype=dtype)


def codes() -> str:
    """Generates the source of functions that encode and decode 8-bit numbers."""
    from thalweg import __version__

    return CODES.format(version=__version__, pointer=POINTER, blocks=blocks_of_codes(), block=BLOCK)


def addresses() -> str:
    """Generates the source of the check of tensors' memory, through torch's C interface."""
    from thalweg import __version__

    return ADDRESSES.format(version=__version__, pointer=POINTER)


BYTES = {"float32": 4, "float64": 8, "bfloat16": 2, "stochastic": 2, "halves": 2, "int16": 2, "uint8": 1}


def _place(j: int, held: str) -> str:
    kind = "_rests" if held == "int16" else "_half" if BYTES[held] == 2 else "_wide"
    return f"{kind}(_pointers[{j} * _rows + _r] + _start * {BYTES[held]})"


def _loaded(stream: str, held: str) -> str:
    if held == "halves":
        return f"_joined({stream}_[_i], _rest_[_i] if {stream}_[_i] & 0x7FFF or _rest_[_i] > 0 else types.int16(0))"
    if held == "uint8":
        return f"{stream}_[_i - _first]"
    return f"_widened({stream}_[_i])" if BYTES[held] == 2 else f"{stream}_[_i]"


def _stored(stream: str, value: str, held: str, streams: Sequence[str]) -> list[str]:
    if held == "halves":
        return [f"{stream}_[_i] = _upper({value})", f"_rest_[_i] = _lower({value})"]
    how = {
        "bfloat16": f"_narrowed({value})",
        "stochastic": f"_stochastically({value}, _start + _i, _key + {stream_key(streams.index(stream) - 1)})",
    }
    return [f"{stream}_[{'_i - _first' if held == 'uint8' else '_i'}] = {how.get(held, value)}"]


def _line(instruction: Instruction, *, double: bool) -> str:
    expressions = EXPRESSIONS if double else EXPRESSIONS | VECTORIZED
    return f"{instruction.target} = {expressions[instruction.op].format(*instruction.arguments)}"
