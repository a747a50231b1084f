"""The tensors of one row, in any dtype that parameters and states may have."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from thalweg.execution import quantization
from thalweg.execution.storage import rounding


class Shards(Protocol):
    """The other shards of a tensor of which this process holds one.

    size: elements of the whole tensor.
    """

    size: int

    def total(self, x: Any, *, within_units: bool = False) -> Tensor:
        """The sum over all shards; `within_units`: over those only that share units (the first dimension) with this."""


@dataclass(frozen=True, slots=True)
class Elements:
    """One row's tensors, all of one shape: gradient, parameter, and states in the program's order.

    residual: of a compensated low-precision parameter.
    key: seed of stochastic rounding of low-precision tensors without a residual; all rows of a call have one, or none.
    scales: those of each uint8 state, `[elements / 256]`. Such a state holds codes, in memory order.
    shards: the other shards of a sharded tensor.
    matrices: states with shapes of their own, in the program's order.
    has_units: whether the parameter has two dimensions or more.
    """

    g: Tensor
    p: Tensor
    states: tuple[Tensor, ...]
    residual: Tensor | None = None
    key: Any = None
    scales: tuple[Tensor, ...] = ()
    shards: Shards | None = None
    has_units: bool = False
    matrices: tuple[Tensor, ...] = ()

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Gradient, parameter, states and residual."""
        return (self.g, self.p, *self.states, *([] if self.residual is None else [self.residual]))

    @property
    def streams(self) -> tuple[Tensor, ...]:
        """`tensors` and the scales."""
        return (*self.tensors, *self.scales)

    @property
    def size(self) -> int:
        """Elements of the whole tensor, 1 for a tensor without any."""
        return max(1, self.p.numel() if self.shards is None else self.shards.size)

    @property
    def wide_p(self) -> Tensor:
        """The parameter in its compute dtype: upcast, or merged with the residual."""
        return rounding.upcast(self.p) if self.residual is None else rounding.merge(self.p, self.residual)

    @property
    def in_float32(self) -> "Elements":
        """The row with a float32 copy of its parameter if that is low-precision, else the row itself."""
        return replace(self, p=self.wide_p, residual=None) if self.p.dtype in rounding.LOW else self

    @property
    def wide(self) -> tuple[Tensor, ...]:
        """Gradient, parameter and states in their compute dtype: upcast, merged with the residual, dequantized."""
        scales = iter(self.scales)
        states = (
            quantization.decoded(s, next(scales)) if s.dtype is torch.uint8 else rounding.upcast(s) for s in self.states
        )
        return (rounding.upcast(self.g), self.wide_p, *states)

    def store(self, p: Tensor | None, *states: Tensor | None) -> None:
        """Writes new values in place, rounded to their storage dtypes. `None`: it stays as it is."""
        if p is not None:
            self.store_p(p, self.key)
        scales = iter(self.scales)
        for number, (old, value) in enumerate(zip(self.states, states, strict=True), start=1):
            of_codes = next(scales) if old.dtype is torch.uint8 else None
            if value is not None and of_codes is not None:
                quantization.replace(old, of_codes, value.float())
            elif value is not None:
                self._write(number, old, value)

    def store_p(self, p: Any, key: Any) -> None:
        """Writes the new parameter in place, rounded to its storage dtype with this key."""
        if self.residual is not None:
            self.p[...], self.residual[...] = rounding.split(p.float(), self.p.dtype)
        else:
            self._round(key, self.p, p)

    def _write(self, number: int, old: Tensor, value: Tensor) -> None:
        self._round(None if self.key is None else self.key + rounding.stream_key(number), old, value)

    def _round(self, key: Any, old: Tensor, value: Tensor) -> None:
        low = key is not None and old.dtype in rounding.LOW
        old.copy_(rounding.stochastic(value.float(), old.dtype, key) if low else value)
