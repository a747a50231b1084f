"""Programs compiled by Numba."""

from functools import cache
from typing import Any

from thalweg.execution.cpu import source
from thalweg.execution.cpu.threads import Function
from thalweg.execution.lowering.codegen_cache import module
from thalweg.recipes.stages import Stage


@cache
def kernel(stage: Stage, storage: tuple[str, ...], *, stochastic: bool = False) -> Function:
    """The compiled pass of a stage, `storage` as in `source.kernel`: a function of the address of a frame.

    The frame's int64 numbers: the address of a counter at 0, how many parts, blocks and rows, and the addresses of
        table: `[lines, columns]`, float64 for float64 storage, else float32,
        which: int64 `[rows]`, each row's line in the table,
        active: bool `[rows]`; an inactive row is left unchanged, and its partial results too,
        pointers: int64 `[streams, rows]`, of a row's gradient, parameter and states (and residual, and scales),
        blocks: int64 `[3, blocks]`, each block's row, first element in that row, and length,
        bounds: int64 `[parts + 1]`; part i is the blocks from bounds[i] to bounds[i + 1],
        keys: int64 `[rows]`, for stochastic rounding,
        partials: float64 `[reductions, blocks]`, each block's sum (of squares, for a norm);
    and, with 8-bit states, the addresses of `decode_block` and `encode_block`.

    Several threads may call it with one frame: each takes the next part until none is left.
    """
    return Function(module(source.kernel(stage, storage, stochastic=stochastic)).share.address)


def scalars(dtype: str) -> Any:
    """`read(addresses, out, more)` and `write(addresses, values)` of single numbers of a dtype.

    Addresses are int64 `[n]`; out and values float64 `[n]`. Reading adds `more` first; returns whether all are equal.
    """
    return module(source.scalars(dtype))


def codes() -> Any:
    """`decode(codes, scales, out, n)` and `encode(numbers, codes, scales, n)` of addresses; `…_block` of each, in C."""
    return module(source.codes())


@cache
def addresses() -> Function:
    """A check of tensors' memory: a function of the address of a frame, whose first number becomes 0 if all pass.

    All must have the recorded layout and enough memory. The first of them, which are written, must have their recorded
    data pointers; the others are read, and may not overlap a written address range.
    The frame's int64 numbers: the result, the numbers of tensors, of written tensors and of written ranges, and 1 to
    record `looks` (without the bytes); then the addresses of
        functions: int64, those of `data_pointers.ASKED`,
        handles: int64 `[n]`, each tensor's handle in C,
        addresses: int64 `[n]`, the data pointers, updated in place; an unchanged one is not checked for overlap again,
        looks: int64, for each its dtype, device type, number of dimensions, bytes per element, bytes from its first
            element to the end of its last, and each dimension's size and stride,
        answers: int64, a buffer with one number for each function,
        begins, reached: int64, of the written ranges, ascending, and the furthest end up to each.
    """
    return Function(module(source.addresses()).check.address)
