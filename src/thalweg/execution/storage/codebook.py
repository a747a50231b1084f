"""States in 8 bits: blocks of 256 numbers, each number a code of 8 bits, each block with a scale in float32.

Dettmers et al. 2021, "8-bit Optimizers via Block-wise Quantization" (arXiv:2110.02861), with its dynamic codes: of
leading zeros a power of ten, of the bits behind them a linear fraction. Level i of the 2**k in the k-th decade below 1
lies at 0.1 + 0.9 (i + 1/2) / 2**k of it; beside them are 0 and 1. A block without negative numbers has seven decades,
which is told by the sign of its scale, another six and a sign. Without sign a number above 0 never becomes 0, as a
second moment of 0 would divide the update by ε alone.

Departure from the paper: with sign, the least level gives its place to -1, so that what is largest in a block stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

BLOCK = 256
SMALLEST = 4096  # elements from which a parameter's states are held so: below, the scales and codes save nothing


def blocks_of(elements: int) -> int:
    """How many blocks hold that many elements; the last may be short."""
    return -(-elements // BLOCK)


@dataclass(frozen=True)
class Decade:
    """Codes from `count` - 1 to 2 `count` - 2, for shares from `begin` of a block's largest number on.

    A share's code is one less than slope · share + offset, rounded down; a level is start + width (code + 1).
    """

    count: int
    begin: float
    slope: float
    offset: float
    start: float
    width: float


def decades(*, positive: bool) -> Sequence[Decade]:
    """From the least on; shares below the first's `begin` are 0."""
    many, found, last = 6 + positive, [], 0.0
    for k in range(1, many + 1):
        count, power = 2**k, 10.0 ** (k - many)
        first = power * (0.1 + 0.45 / count)
        begin = 0.0 if positive and k == 1 else (last + first) / 2
        slope, width = count / (0.9 * power), 0.9 * power / count
        found.append(Decade(count, begin, slope, count * 8 / 9, power * (0.45 / count - 0.8), width))
        last = power * (1 - 0.45 / count)
    return found


def one(*, positive: bool) -> float:
    """The share from which a number is the block's largest."""
    return (1 + 1 - 0.45 / decades(positive=positive)[-1].count) / 2
