"""Block-wise quantization to 8-bit codes (`codebook.py`) and back, a block of 256 numbers at a time."""

from functools import cache

import torch
from torch import Tensor

from thalweg.execution.cpu import kernels
from thalweg.execution.storage.codebook import BLOCK, blocks_of, decades, one


def encode(x: Tensor) -> tuple[Tensor, Tensor]:
    """float32 `[n]` → codes uint8 `[n]`, scales float32 `[⌈n / 256⌉]`. NaN or infinity makes its whole block NaN."""
    if x.device.type != "cpu":
        return encode_anywhere(x)
    n, x = len(x), x.float().contiguous()
    codes, scales = torch.empty(n, dtype=torch.uint8), torch.empty(blocks_of(n))
    kernels.codes().encode(x.data_ptr(), codes.data_ptr(), scales.data_ptr(), n)
    return codes, scales


def decode(codes: Tensor, scales: Tensor) -> Tensor:
    """Codes and scales of `encode` → float32 `[n]`; each number to within half the distance of two codes."""
    if codes.device.type != "cpu":
        return decode_anywhere(codes, scales)
    if codes.dtype != torch.uint8 or scales.shape != (blocks_of(len(codes)),):
        raise ValueError(
            f"{len(codes)} codes in uint8 have {blocks_of(len(codes))} scales, got {codes.dtype}, {scales.shape}."
        )
    codes, scales, out = codes.contiguous(), scales.float().contiguous(), torch.empty(len(codes))
    kernels.codes().decode(codes.data_ptr(), scales.data_ptr(), out.data_ptr(), len(codes))
    return out


def encode_anywhere(x: Tensor) -> tuple[Tensor, Tensor]:
    """`encode` in torch operators, on any device."""
    n = len(x)
    blocks = torch.nn.functional.pad(x, (0, -n % BLOCK)).view(-1, BLOCK)
    largest, unsigned = blocks.abs().amax(1) + (blocks - blocks).sum(1), (blocks >= 0).all(1)
    shares = blocks.abs() * torch.where((largest > 0) & largest.isfinite(), 1 / largest, 0)[:, None]
    minus = 128 * (blocks < 0)
    with_sign = _codes(shares, positive=False)
    codes = torch.where(unsigned[:, None], _codes(shares, positive=True), with_sign + minus * (with_sign > 0))
    return codes.to(torch.uint8).view(-1)[:n], torch.where(unsigned, largest, -largest)


def _codes(shares: Tensor, *, positive: bool) -> Tensor:
    """Codes without the sign bit, int32."""
    known = decades(positive=positive)
    first = known[0]
    found = (first.slope * shares + first.offset).clamp(first.count, 2 * first.count - 1)
    for decade in known[1:]:
        there = (decade.slope * shares + decade.offset).clamp(max=2 * decade.count - 1)
        found = torch.where(shares >= decade.begin, there, found)
    found = torch.where(shares >= one(positive=positive), 2.0 * known[-1].count, found)
    found = torch.where(shares > 0 if positive else shares >= first.begin, found, 1.0)
    return found.int() - 1


def decode_anywhere(codes: Tensor, scales: Tensor) -> Tensor:
    """`decode` in torch operators, on any device."""
    n = len(codes)
    index = torch.nn.functional.pad(codes, (0, -n % BLOCK)).view(-1, BLOCK).int()
    index += torch.where(scales < 0, 256, 0).int()[:, None]
    return (_both(codes.device)[index] * scales.abs()[:, None]).view(-1)[:n]


@cache
def _both(device: torch.device) -> Tensor:
    """The levels without sign, then those with: cached on the device before CUDA graph capture."""
    return torch.cat([levels(positive=True), levels(positive=False)]).to(device)


def levels(*, positive: bool) -> Tensor:
    """The values of the 256 codes at scale 1: in [0, 1], or in [-1, 1] with codes from 128 on negative."""
    known, number = decades(positive=positive), torch.arange(1.0, 257.0 if positive else 129.0)
    found = torch.zeros_like(number)
    for decade in known:
        found = torch.where(number >= decade.count, decade.start + decade.width * number, found)
    found[-1] = 1.0
    return found if positive else torch.cat([found, -found])


def decoded(codes: Tensor, scales: Tensor) -> Tensor:
    """Decodes codes that are dense in memory, in any order of dimensions, to the same layout."""
    return decode(_flat(codes), scales).as_strided(codes.shape, codes.stride())


def replace(codes: Tensor, scales: Tensor, x: Tensor) -> None:
    """Encodes float32 numbers of the codes' shape into codes and scales, in place."""
    laid = torch.empty_like(codes, dtype=torch.float32).copy_(x)
    found, scales[...] = encode(_flat(laid))
    _flat(codes)[...] = found


def _flat(x: Tensor) -> Tensor:
    return x.as_strided((x.numel(),), (1,))
