"""Code generation for Triton: a stage as the source of one kernel over memory.

As on the CPU, elementwise code has no literals, and names that are not a state's begin with an underscore. Divisions
and square roots are correctly rounded; bfloat16 is handled as bits, so that every rounding equals the CPU's.
"""

from collections.abc import Mapping, Sequence

from thalweg.execution.gpu.templates import FUNCTIONS, TEMPLATE
from thalweg.execution.lowering.codegen_cache import indented
from thalweg.execution.lowering.streams import ways
from thalweg.execution.storage.rounding import FIRST, SECOND, stream_key
from thalweg.recipes.stages import Instruction, Reduction, Stage

EXPRESSIONS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "_divided({0}, {1})",
    "pow": "_power({0}, {1})",
    "neg": "-{0}",
    "abs": "_tl.abs({0})",
    "sqrt": "_root({0})",
    "cbrt": "_cube_root({0})",
    "exp": "_exponential({0})",
    "log": "_logarithm({0})",
    "sign": "_tl.where({0} == {0}, ({0} > 0).to(_REAL) - ({0} < 0).to(_REAL), {0})",
    "max": "_tl.maximum({0}, {1}, propagate_nan=_tl.PropagateNan.ALL)",
    "min": "_tl.minimum({0}, {1}, propagate_nan=_tl.PropagateNan.ALL)",
    "eq": "({0} == {1}).to(_REAL)",
    "lt": "({0} < {1}).to(_REAL)",
    "le": "({0} <= {1}).to(_REAL)",
    "where": "_tl.where({0} != 0, {1}, {2})",
}

BLOCK = 1024
"""Elements per program instance of the kernel."""

HELD = {"float32": "float32", "float64": "float64", "bfloat16": "uint16", "stochastic": "uint16", "halves": "uint16"}
HELD |= {"int16": "int16"}


def kernel(stage: Stage, storage: Sequence[str], *, stochastic: bool = False) -> str:
    """Generates the kernel's source. storage: the dtype of each stream (gradient, parameter, states).

    Each is "float32", "float64" or "bfloat16"; float64 mixes with no other. An additional stream, "int16", is the
    residual of a bfloat16 parameter. stochastic: "bfloat16" streams but the gradient are rounded stochastically.
    Reductions are summed by block, in float64.
    """
    from thalweg import __version__

    held = ways(stage, storage, stochastic=stochastic)
    real = "float64" if "float64" in storage else "float32"
    return TEMPLATE.format(
        version=__version__,
        real=real,
        functions=FUNCTIONS,
        block=BLOCK,
        exact="" if real == "float64" else "_rn",
        divided="_a / _b" if real == "float64" else "_tl.div_rn(_a, _b)",
        first=FIRST,
        second=SECOND,
        width=len(stage.columns),
        begins=" | ".join(f"_tl.load(_pointers + {j} * _rows + _r)" for j in range(len(held))),
        elements=indented(1, [*_read(stage, held), *map(_line, stage.body), *_written(stage, held)]),
    )


def _read(stage: Stage, held: Mapping[str, str]) -> list[str]:
    """Source lines that load the columns, the data pointers and the elements."""
    lines = [f"_k{j} = _tl.load(_k + {j})" for j in range(len(stage.columns))]
    for j, (stream, kind) in enumerate(held.items()):
        begin = f"_tl.load(_pointers + {j} * _rows + _r).to(_tl.pointer_type(_tl.{HELD[kind]}))"
        lines.append(f"{stream}_ = _place({begin}, _start, _FULL) + _i")
        lines.append(f"{stream} = _read({stream}_, _here, _FULL)")
    lines += [f"{s} = _widened({s})" for s, kind in held.items() if kind in ("bfloat16", "stochastic")]
    return [*lines, *(["p = _joined(p, _rest)"] if "_rest" in held else [])]


def _line(instruction: Instruction) -> str:
    return f"{instruction.target} = {EXPRESSIONS[instruction.op].format(*instruction.arguments)}"


def _written(stage: Stage, held: Mapping[str, str]) -> list[str]:
    """Source lines that store new elements in place, and the block's share of each reduction."""
    changed = [(name, value) for name, value in stage.outputs.items() if name != value]
    stored = [line for name, value in changed for line in _stored(name, value, held)]
    return [*stored, *(line for j, r in enumerate(stage.reductions) for line in _reduced(j, r))]


def _reduced(j: int, reduction: Reduction) -> list[str]:
    square = "" if reduction.op == "mean" else " * _number"
    return [
        f"_number = _tl.broadcast_to({reduction.value}, [_BLOCK]).to(_tl.float64)",
        f"_sum = _tl.sum(_tl.where(_here, _number{square}, 0.0), 0)",
        f"_tl.store(_partials + {j} * _tl.num_programs(0) + _tl.program_id(0), _sum)",
    ]


def _stored(stream: str, value: str, held: Mapping[str, str]) -> list[str]:
    value, kind = f"_tl.broadcast_to({value}, [_BLOCK])", held[stream]
    if kind == "halves":
        return [
            f"_write({stream}_, _upper({value}), _here, _FULL)",
            f"_write(_rest_, _lower({value}), _here, _FULL)",
        ]
    chance = f"_stochastically({value}, _start + _i, _key + {stream_key([*held].index(stream) - 1)})"
    new = {"bfloat16": f"_narrowed({value})", "stochastic": chance}.get(kind, value)
    return [f"_write({stream}_, {new}, _here, _FULL)"]
