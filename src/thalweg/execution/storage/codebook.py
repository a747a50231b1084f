"""Codebook of 8-bit quantized state: blocks of 256 numbers, an 8-bit code per number, a float32 scale per block.

Dettmers et al. 2021, "8-bit Optimizers via Block-wise Quantization" (arXiv:2110.02861), with its dynamic codes: leading
zeros encode a power of ten, the bits after them a linear fraction. Level i of the 2**k in the k-th decade below 1 lies
at 0.1 + 0.9 (i + 1/2) / 2**k of it; 0 and 1 are levels too. A block without negative numbers has seven decades and a
positive scale; any other has six, a sign bit, and a negative scale. Without sign a number above 0 never becomes 0, as
with a second moment of 0 the update would be divided by ε alone.

Departure from the paper: with sign, -1 replaces the smallest level, so that the largest number of a block is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

BLOCK = 256
SMALLEST = 4096  # elements from which a parameter's states are quantized: below, the scales and codes save nothing


def blocks_of(elements: int) -> int:
    """The number of blocks for so many elements; the last may be short."""
    return -(-elements // BLOCK)


@dataclass(frozen=True)
class Decade:
    """Codes `count` - 1 to 2 `count` - 2, for shares (absolute value over the largest of the block) from `begin` on.

    The code of a share is ⌊slope · share + offset⌋ - 1; the level of a code is start + width (code + 1).
    """

    count: int
    begin: float
    slope: float
    offset: float
    start: float
    width: float


def decades(*, positive: bool) -> Sequence[Decade]:
    """The decades in ascending order; shares below the first's `begin` are 0."""
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
    """The share from which a number is coded as the block's largest."""
    return (1 + 1 - 0.45 / decades(positive=positive)[-1].count) / 2
