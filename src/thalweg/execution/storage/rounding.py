"""Rounding of low-precision parameters: bfloat16 and float16, computed in float32.

To the nearest, a step of less than half a unit in the last place is lost, and so is every one after it. Stochastic
rounding keeps it on average: a value is rounded up with a probability equal to its fraction of a unit. The random bits
are a hash of seed, step, parameter and element, hence the same on every backend and in every rerun. Compensation stores
the residual of rounding, `rest`, in int16, and adds it before the next step: parameter and residual are the float32
value, bit for bit (with float16, except for parts smaller than 2**-40). The steps are those of a float32 parameter to
float32's own rounding: one compiled pass may fuse a product with a sum where another does not.

A parameter is rounded once a step, at its end. Where a constraint of whole parameters follows the update, it is a
float32 copy until then.
"""

from typing import Any, Literal

import torch
from torch import Tensor

Rounding = Literal["stochastic", "compensated", "nearest"]

LOW = (torch.bfloat16, torch.float16)
"""Low-precision dtypes: computed in float32, rounded when stored."""


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which numbers of a dtype are computed: float64 or float32."""
    return torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32


def upcast(x: Tensor) -> Tensor:
    """Low precision as float32; other dtypes unchanged."""
    return x.float() if x.dtype in LOW else x


FIRST, SECOND = 0x21F0AAAD, 0xD35A2D97  # multipliers of a 32-bit hash with little bias (Ettinger's search, 2021)
WORD = 0xFFFFFFFF


def keys(seed: int, t: Any, places: Any) -> Any:
    """64-bit keys of stochastic rounding, by seed, step `t` and parameter index: int64 arrays `[n]`, or 0-d tensors."""
    key = _mixed(t * 0 + seed)
    return _mixed(_mixed(key ^ t) ^ places)


def stream_key(stream: int) -> int:
    """Offset from a row's key to that of its state number `stream`, from 1; 0 for the parameter."""
    return stream * 0x632BE59BD9B4E019 & 0x7FFFFFFFFFFFFFFF


def _mixed(x: Any) -> Any:
    """SplitMix (Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195), in int64 that wraps around."""
    x = x + -0x61C8864680B583EB
    x = (x ^ _shifted(x, 30)) * -0x40A7B892E31B1A47
    x = (x ^ _shifted(x, 27)) * -0x6B2FB644ECCEEE15
    return x ^ _shifted(x, 31)


def _shifted(x: Any, bits: int) -> Any:
    """Logical (unsigned) right shift."""
    return x >> bits & (1 << 64 - bits) - 1


def random_bits(key: Any, like: Tensor) -> Tensor:
    """16 random bits for each element, int64 in the tensor's shape; elements are numbered in memory order."""
    low, high = key & WORD, (key >> 32) & WORD
    x = torch.arange(like.numel(), device=like.device) & WORD ^ low
    x = (x ^ x >> 16) * FIRST & WORD
    x = ((x ^ x >> 15) + high) * SECOND & WORD
    return _laid((x ^ x >> 15) >> 16, like)


def _laid(flat: Tensor, like: Tensor) -> Tensor:
    """Reshapes values in memory order to the shape of a tensor."""
    dense = torch.empty_like(like).stride() == like.stride()
    return flat.as_strided(like.shape, like.stride()) if dense else flat.view(like.shape)


def stochastic(x: Tensor, dtype: torch.dtype, key: Any) -> Tensor:
    """Stochastic rounding of float32 to bfloat16 or float16; NaN and infinity stay."""
    if dtype is torch.bfloat16:
        word = x.view(torch.int32) + random_bits(key, x).int()
        rounded = (word & ~0xFFFF).view(torch.float32)
    else:
        units = x.abs() / _unit(x)
        whole = units.floor()
        rounded = (whole + ((units - whole) * 2**16 > random_bits(key, x))) * _unit(x) * x.sign()
    return torch.where(torch.isfinite(x), rounded, x).to(dtype)


def _unit(x: Tensor) -> Tensor:
    """float16's unit in the last place, at float32 numbers; 2**-24 at least."""
    exponent = torch.where(x == 0, -13, torch.frexp(x).exponent).clamp(min=-13)
    return torch.ldexp(torch.ones_like(x), exponent - 11)


def merge(p: Tensor, rest: Tensor) -> Tensor:
    """The float32 value of a parameter and its residual.

    A negative residual of a bfloat16 parameter at 0 is ignored: it is left from a value that somebody has overwritten.
    """
    if p.dtype is torch.bfloat16:
        rest = torch.where(p == 0, rest.clamp(min=0), rest)
        return (p.float().view(torch.int32) + rest).view(torch.float32)
    wide = p.float()
    return wide + rest * _unit(wide) / 2**16


def split(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Splits float32 into the nearest value of a dtype and its residual.

    The residual is the lower half of the bits (bfloat16), or counts 2**-16 of a unit in the last place (float16).
    """
    if dtype is torch.bfloat16:
        word = torch.where(x.isnan(), torch.nan, x).view(torch.int32)
        top = word + 0x8000 & ~0xFFFF
        return top.view(torch.float32).to(dtype), (word - top).to(torch.int16)
    p = x.to(dtype)
    parts = ((x - p.float()) / _unit(p.float()) * 2**16).round().clamp(-(2**15), 2**15 - 1)
    return p, torch.where(torch.isfinite(p), parts, 0.0).to(torch.int16)
