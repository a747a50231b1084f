"""States in 8 bits: blocks of 256 numbers, each number a code of 8 bits, each block with a scale in float32.

Dettmers et al. 2021, "8-bit Optimizers via Block-wise Quantization" (arXiv:2110.02861), with its dynamic codes: of
leading zeros a power of ten, of the bits behind them a linear fraction. A block without negative numbers has the codes
without sign, which is told by the sign of its scale. There a number above 0 never becomes 0, as a second moment of 0
would divide the update by ε alone.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.recipes.execution import kernels

BLOCK = 256
SMALLEST = 4096  # elements from which a parameter's states are held so: below, the scales and codes save nothing


def encode(x: Tensor) -> tuple[Tensor, Tensor]:
    """float32 `[n]` → codes uint8 `[n]`, scales float32 `[n / 256]`, rounded up. What is no number spoils its block."""
    if x.device.type != "cpu":
        return encode_anywhere(x)
    n, x = len(x), x.contiguous()
    codes, scales = torch.empty(n, dtype=torch.uint8), torch.empty(-(-n // BLOCK))
    kernels.codes().encode(x.data_ptr(), codes.data_ptr(), scales.data_ptr(), n, *_tables())
    return codes, scales


def decode(codes: Tensor, scales: Tensor) -> Tensor:
    """What `encode` gave, as float32 `[n]`; each number to within half the distance of two codes."""
    if codes.device.type != "cpu":
        return decode_anywhere(codes, scales)
    out = torch.empty(len(codes))
    values = _values(codes.device).numpy()
    kernels.codes().decode(codes.data_ptr(), scales.data_ptr(), out.data_ptr(), len(codes), values)
    return out


def encode_anywhere(x: Tensor) -> tuple[Tensor, Tensor]:
    """The same in torch's operators."""
    n = len(x)
    blocks = torch.nn.functional.pad(x, (0, -n % BLOCK)).view(-1, BLOCK)
    low, high = blocks.clamp(max=0).amin(1), blocks.clamp(min=0).amax(1)
    largest, unsigned = torch.maximum(-low, high) + (blocks - blocks).sum(1), low == 0
    shares = blocks * torch.where(largest > 0, 1 / largest, 0)[:, None]
    positive, signed = (torch.bucketize(shares, _borders(p, x.device)) for p in (True, False))
    codes = torch.where(unsigned[:, None], positive, signed).to(torch.uint8)
    return codes.view(-1)[:n], torch.where(unsigned, largest, -largest)


def decode_anywhere(codes: Tensor, scales: Tensor) -> Tensor:
    """The same in torch's operators."""
    n = len(codes)
    index = torch.nn.functional.pad(codes, (0, -n % BLOCK)).view(-1, BLOCK).int()
    index += torch.where(scales < 0, 256, 0).int()[:, None]
    return (_values(codes.device)[index] * scales.abs()[:, None]).view(-1)[:n]


@cache
def levels(*, positive: bool) -> tuple[float, ...]:
    """The 256 numbers that a code stands for, ascending, in [0, 1] or [-1, 1].

    Departure from the paper: with sign there is -1, in place of the least negative number, so that what is largest in a
    block stays what it is.
    """
    found, least = [0.0, 1.0], 5.5e-7
    for power in range(7):
        count = 2 ** (power + positive)
        step = 0.9 / count
        sizes = [10.0 ** (power - 6) * (0.1 + (i + 0.5) * step) for i in range(count)]
        found += sizes if positive else [*sizes, *(-size for size in sizes)]
    return tuple(sorted(found if positive else [-1.0, *(level for level in found if level != -least)]))


@cache
def _values(device: torch.device) -> Tensor:
    return torch.tensor([*levels(positive=True), *levels(positive=False)], dtype=torch.float32, device=device)


@cache
def _borders(positive: bool, device: torch.device) -> Tensor:
    """Between each level and the next, `[255]`; without sign, all above 0 belongs to a level above 0."""
    values = torch.tensor(levels(positive=positive), dtype=torch.float64)
    between = (values[1:] + values[:-1]) / 2
    if positive:
        between[0] = 0.0
    return between.to(device, torch.float32)


@cache
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """For each sign, the code of the least number that begins with each 16 bits, and the borders above the codes.

    Two codes are never as near as two numbers of 16 bits, so that one comparison with a border remains.
    """
    words = np.arange(1 << 16, dtype=np.uint32) << 16
    with np.errstate(all="ignore"):
        least = np.where(words >> 31, words | 0xFFFF, words).astype(np.uint32).view(np.float32)
    least[np.isnan(least)] = 1.0
    borders = np.full((2, 256), np.inf, np.float32)
    for row, positive in enumerate((True, False)):
        borders[row, :255] = _borders(positive, torch.device("cpu")).numpy()
    begins = np.stack([np.searchsorted(row[:255], least) for row in borders]).astype(np.uint8)
    return begins, borders
