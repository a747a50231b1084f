"""Random numbers by hashing a counter: functions of a key and an element's place, on every device, in every layout.

Each is SplitMix64's output (Steele, Lea and Flood: Fast splittable pseudorandom number generators, 2014) at the
element's place in the sequence that begins at the key. All members' numbers are made at once, from one key each.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

aten = torch.ops.aten

WEYL, FIRST, SECOND = (n - (1 << 64) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
BITS = 53  # of a float64's mantissa, which each number has
SINGLE = 24  # of a float32's
REAL = (torch.float32, torch.float64)
BLOCK = 1 << 14  # numbers hashed at once
Keys = Tensor | NDArray[np.uint64]


def words(keys: Keys, count: int, after: int = 0) -> Tensor:
    """`count` numbers of 53 bits for each key, int64 `[…, count]`.

    keys: 64 bits, `[]` or `[members]`; in an array, they are hashed by NumPy, which is quicker on CPUs. after: numbers
    of each sequence that are left out.
    """
    if isinstance(keys, np.ndarray):
        return torch.from_numpy(_hashed(keys, after, count)).view(*keys.shape, count)
    z = keys[..., None] + torch.arange(after + 1, after + count + 1, device=keys.device) * WEYL
    z = (z ^ _shifted(z, 30)) * FIRST
    z = (z ^ _shifted(z, 27)) * SECOND
    return _shifted(z ^ _shifted(z, 31), 64 - BITS)


def _shifted(z: Tensor, places: int) -> Tensor:
    """z as an unsigned number, shifted to the right."""
    return torch.bitwise_right_shift(z, places) & ((1 << (64 - places)) - 1)


def _hashed(keys: NDArray[np.uint64], after: int, own: int) -> NDArray[np.int64]:
    """`[…, own]`, block by block in the cache."""
    found = np.empty((keys.size, own), np.uint64)
    block = max(1, BLOCK // keys.size)
    for start in range(0, own, block):
        z = found[:, start : start + block]
        z[:] = np.arange(after + start + 1, after + start + 1 + z.shape[1], dtype=np.uint64) * np.uint64(WEYL % 2**64)
        z += keys.reshape(-1, 1)
        rest = z >> np.uint64(30)
        for places, factor in ((27, FIRST), (31, SECOND)):
            z ^= rest
            z *= np.uint64(factor % 2**64)
            np.right_shift(z, np.uint64(places), out=rest)
        z ^= rest
        z >>= np.uint64(64 - BITS)
    return found.view(np.int64)


def happens(keys: Keys, shape: Sequence[int], p: float) -> Tensor:
    """Truth values that are true with probability p, each."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"A probability must be at least 0 and at most 1, not {p}.")
    return (words(keys, _own(keys, shape)) < round(p * (1 << BITS))).view(tuple(shape))


def uniform(keys: Keys, shape: Sequence[int], dtype: torch.dtype, *, second: bool = False) -> Tensor:
    """Numbers at least 0 and less than 1: all multiples of 2^-24 in float32, of 2^-53 in float64.

    second: independent numbers of the same key.
    """
    own = _own(keys, shape)
    found, bits = words(keys, own, own if second else 0), BITS
    if dtype is torch.float32:
        found, bits = torch.bitwise_right_shift(found, BITS - SINGLE), SINGLE
    return (found.to(dtype) * 2.0**-bits).view(tuple(shape))


def normal(keys: Keys, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Standard normal numbers (Box and Muller 1958)."""
    radius = torch.sqrt(-2 * torch.log(1 - uniform(keys, shape, dtype)))
    return radius * torch.cos(2 * math.pi * uniform(keys, shape, dtype, second=True))


def _own(keys: Keys, shape: Sequence[int]) -> int:
    """Numbers for each key."""
    return math.prod(shape[1:] if keys.ndim else shape)


def _bernoulli(keys: Keys, x: Tensor, p: float = 0.5, **_: Any) -> Tensor:
    return happens(keys, x.shape, p).to(x.dtype)


def _bernoulli_of(keys: Keys, p: Tensor, **_: Any) -> Tensor:
    if not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError("Probabilities must be at least 0 and at most 1.")
    return (uniform(keys, p.shape, p.dtype) < p).to(p.dtype)


def _dropout(keys: Keys, x: Tensor, p: float, train: bool | None = True) -> tuple[Tensor, Tensor]:
    kept = happens(keys, x.shape, 1 - p) if train is not False else torch.ones_like(x, dtype=torch.bool)
    scale = 0.0 if p == 1 else 1 / (1 - p) if train is not False else 1.0
    return x * kept * scale, kept


def _uniform(keys: Keys, x: Tensor, low: float = 0.0, high: float = 1.0, **_: Any) -> Tensor:
    if not low <= high:
        raise RuntimeError(f"uniform_ takes limits of which the first is the lower, not {low} and {high}.")
    return uniform(keys, x.shape, x.dtype) * (high - low) + low


def _normal(keys: Keys, x: Tensor, mean: float = 0.0, std: float = 1.0, **_: Any) -> Tensor:
    if not std >= 0:
        raise RuntimeError(f"normal_ takes a standard deviation of at least 0, not {std}.")
    return normal(keys, x.shape, x.dtype) * std + mean


def _rand(keys: Keys, size: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return uniform(keys, size, dtype or torch.get_default_dtype())


def _randn(keys: Keys, size: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return normal(keys, size, dtype or torch.get_default_dtype())


def _rand_like(keys: Keys, x: Tensor, *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return uniform(keys, x.shape, dtype or x.dtype)


def _randn_like(keys: Keys, x: Tensor, *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return normal(keys, x.shape, dtype or x.dtype)


def _written(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The operation that writes into its first argument."""
    return lambda keys, x, *args, **kwargs: x.copy_(function(keys, x, *args, **kwargs))


HASHED: Mapping[Any, Callable[..., Any]] = {
    aten.bernoulli.default: _bernoulli_of,
    aten.bernoulli.p: _bernoulli,
    aten.bernoulli_.float: _written(_bernoulli),
    aten.native_dropout.default: _dropout,
    aten.uniform.default: _uniform,
    aten.uniform_.default: _written(_uniform),
    aten.normal_functional.default: _normal,
    aten.normal_.default: _written(_normal),
    aten.rand.default: _rand,
    aten.randn.default: _randn,
    aten.rand_like.default: _rand_like,
    aten.randn_like.default: _randn_like,
}
"""Operation → what takes its place, given keys and the operation's own arguments."""

ANY_DTYPE = {aten.bernoulli.p, aten.bernoulli_.float, aten.native_dropout.default}
BY_VALUES = {aten.bernoulli.default}
"""Operations that check the values of their arguments, which a traced program cannot."""


def is_hashed(operation: Any, dtype: torch.dtype | None, kwargs: Mapping[str, Any]) -> bool:
    """Whether an operation's numbers are hashed: truth values, or float32 or float64, by no generator of its own.

    dtype: of the first argument, if that is a tensor.
    """
    if operation not in HASHED or kwargs.get("generator") is not None:
        return False
    return operation in ANY_DTYPE or (kwargs.get("dtype") or dtype or torch.get_default_dtype()) in REAL
