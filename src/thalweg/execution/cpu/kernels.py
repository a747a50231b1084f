"""Programs compiled by Numba."""

from functools import cache
from typing import Any

from thalweg.execution.cpu import source
from thalweg.execution.cpu.threads import Function
from thalweg.execution.lowering.codegen_cache import module
from thalweg.recipes.trace import Program


@cache
def kernel(program: Program, storage: tuple[str, ...], *, stochastic: bool = False) -> Function:
    """The compiled pass of a program for streams held as `source` says: a function of the address of a frame.

    The frame's int64 numbers: the address of a counter at 0, how many parts, blocks and rows, and the addresses of
        table: `[lines, columns]`, float64 where that is the storage and float32 elsewhere,
        which: int64 `[rows]`, each row's line in the table,
        active: bool `[lines]`; the rows of an inactive line are left as they are,
        pointers: int64 `[streams, rows]`, where a row's gradient, parameter and states (and rest, and scales) begin,
        blocks: int64 `[3, blocks]`, the row that a block is part of, its first element there, its length,
        bounds: int64 `[parts + 1]`; part i is the blocks from bounds[i] to bounds[i + 1],
        keys: int64 `[rows]`, for rounding by chance,
        counts: int64 `[rows]`, to which each row's elements that are counted are added;
    and, where states are in 8 bits, the addresses of what decodes and encodes a block of them.

    Several threads may call it with one frame: each takes the next part until none is left.
    """
    return Function(module(source.kernel(program, storage, stochastic=stochastic)).share.address)


def scalars(dtype: str) -> Any:
    """`read(addresses, out, more)` and `write(addresses, values)` of single numbers held as `dtype`.

    Addresses are int64 `[n]`; out and values float64 `[n]`. Reading adds `more` first, and tells if all are the same.
    """
    return module(source.scalars(dtype))


def codes() -> Any:
    """`decode(codes, scales, out, n)` and `encode(numbers, codes, scales, n)` at addresses, and `…_block` in C."""
    return module(source.codes())


@cache
def addresses() -> Function:
    """A check of tensors' memory: a function of the address of a frame, whose first number is 0 where all fit.

    All must look as they did and have the memory that they claim. The first of them, which are kept, must be where they
    were; the others are read, and may not overlap what is written.
    The frame's int64 numbers: the answer, the number of tensors, of those kept, of written stretches, and 1 where
    `looks` is to be filled in (but for the bytes); then the addresses of
        functions: int64, as `addresses.ASKED` says,
        handles: int64 `[n]`, each tensor's handle in C,
        addresses: int64 `[n]`, where each begins, which is filled in; one that is there already fits what is written,
        looks: int64, for each its dtype, kind of device, number of dimensions, bytes of an element, bytes from its
            first element to behind its last, and each dimension's size and stride,
        answers: int64, one for each function, to write on,
        begins, reached: int64, of the written stretches, ascending, and the furthest end up to each.
    """
    return Function(module(source.addresses()).check.address)
