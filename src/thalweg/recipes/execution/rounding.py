"""How a parameter is stored that has fewer bits than it is computed in: bfloat16 and float16, computed in float32.

To the nearest, a step of less than half a unit in the last place is lost, and so is every one after it. Stochastic
rounding keeps it on average: a value goes up with the chance that is its share of the way. The chance is a hash of
seed, step, parameter and element, so that it is the same however the step is carried out, and when it is repeated.
Compensation keeps what rounding leaves over, `rest`, and adds it before the next step: with bfloat16 the two are the
float32 value, bit for bit.
"""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Rounding = Literal["stochastic", "compensated", "nearest"]

LOW = (torch.bfloat16, torch.float16)
"""What is computed in float32 and rounded when it is stored."""

REST = {torch.bfloat16: torch.int16, torch.float16: torch.float16}
"""What the rest of a compensated parameter is held in."""

FIRST, SECOND = 0x21F0AAAD, 0xD35A2D97  # multipliers of a 32-bit hash with little bias (Ettinger's search, 2021)
WORD = 0xFFFFFFFF


def keys(seed: int, t: NDArray[Any], places: NDArray[Any]) -> NDArray[np.int64]:
    """One 64-bit key each for parameters at these places, int64 `[n]`, at their steps, `[n]` or one for all."""
    key = _mixed(np.full(len(places), seed, np.uint64))
    key = _mixed(key ^ np.broadcast_to(t, len(places)).astype(np.uint64))
    return _mixed(key ^ places.astype(np.uint64)).astype(np.int64)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Steele, Lea & Flood 2014, SplitMix (doi:10.1145/2714064.2660195)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def chances(key: int, like: Tensor) -> Tensor:
    """A number of 16 bits for each element, int64 in the tensor's shape; elements count in the order of memory."""
    low, high = key & WORD, (key >> 32) & WORD
    x = torch.arange(like.numel(), device=like.device) & WORD ^ low
    x = (x ^ x >> 16) * FIRST & WORD
    x = ((x ^ x >> 15) + high) * SECOND & WORD
    return _laid((x ^ x >> 15) >> 16, like)


def _laid(flat: Tensor, like: Tensor) -> Tensor:
    """Values in the order of memory, in the shape of a tensor."""
    dense = torch.empty_like(like).stride() == like.stride()
    return flat.as_strided(like.shape, like.stride()) if dense else flat.view(like.shape)


def stochastic(x: Tensor, dtype: torch.dtype, key: int) -> Tensor:
    """float32 to bfloat16 or float16, up or down by chance; NaN and infinity stay."""
    if dtype is torch.bfloat16:
        word = x.view(torch.int32) + chances(key, x).int()
        rounded = (word & ~0xFFFF).view(torch.float32)
    else:
        unit = 2.0 ** (torch.frexp(x).exponent.clamp(min=-13) - 11).float()
        rounded = torch.floor(x.abs() / unit + chances(key, x) / 2**16) * unit * x.sign()
    return torch.where(torch.isfinite(x), rounded, x).to(dtype)


def joined(p: Tensor, rest: Tensor) -> Tensor:
    """The float32 value of a parameter and its rest."""
    if rest.dtype is torch.int16:
        return (p.float().view(torch.int32) + rest).view(torch.float32)
    return p.float() + rest.float()


def parted(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """float32 as the nearest parameter of a dtype and the rest."""
    if dtype is torch.bfloat16:
        word = torch.where(x.isnan(), torch.nan, x).view(torch.int32)
        top = word + 0x8000 & ~0xFFFF
        return top.view(torch.float32).to(dtype), (word - top).to(torch.int16)
    p = x.to(dtype)
    rest = (x - p.float()).to(dtype)
    return p, torch.where(torch.isfinite(p), rest, 0)
