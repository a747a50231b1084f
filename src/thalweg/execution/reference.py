"""The reference: the rule on tensors, eagerly, a row at a time. Slow, allocates, always right.

bfloat16 and float16 are computed in float32 and rounded once, when stored (`rounding.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.execution import quantization
from thalweg.execution.reductions import accumulation_dtype
from thalweg.execution.storage import rounding
from thalweg.recipes.compose import StepVariant, agreement, step
from thalweg.recipes.options import AGREEMENT
from thalweg.recipes.row_table import Array
from thalweg.recipes.trace import trace


@dataclass(frozen=True, slots=True)
class Elements:
    """One row's tensors, all of one shape: gradient, parameter, and states in the program's order.

    rest: residual of a compensated low-precision parameter.
    key: seed of stochastic rounding of low-precision tensors without a residual; all rows of a call have one, or none.
    scales: those of each uint8 state, `[elements / 256]`. Such a state holds codes, in memory order.
    share: turns a local sum into the global mean of a sharded tensor.
    """

    g: Tensor
    p: Tensor
    states: tuple[Tensor, ...]
    rest: Tensor | None = None
    key: Any = None
    scales: tuple[Tensor, ...] = ()
    share: Callable[[Any], Tensor] | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Gradient, parameter, states and residual."""
        return (self.g, self.p, *self.states, *([] if self.rest is None else [self.rest]))

    @property
    def streams(self) -> tuple[Tensor, ...]:
        """`tensors` and the scales."""
        return (*self.tensors, *self.scales)

    @property
    def wide(self) -> tuple[Tensor, ...]:
        """Gradient, parameter and states in their compute dtype: upcast, merged with the residual, dequantized."""
        p = rounding.upcast(self.p) if self.rest is None else rounding.merge(self.p, self.rest)
        scales = iter(self.scales)
        states = (
            quantization.decoded(s, next(scales)) if s.dtype is torch.uint8 else rounding.upcast(s) for s in self.states
        )
        return (rounding.upcast(self.g), p, *states)

    def store(self, p: Any, states: Sequence[Any] = ()) -> None:
        """Writes the new parameter and states in place, rounded to their storage dtypes."""
        if self.rest is not None:
            self.p[...], self.rest[...] = rounding.split(torch.as_tensor(p).float(), self.p.dtype)
        else:
            self._write(0, self.p, p)
        scales = iter(self.scales)
        for number, (old, value) in enumerate(zip(self.states, states, strict=bool(states)), start=1):
            if old.dtype is torch.uint8:
                quantization.replace(old, next(scales), torch.as_tensor(value).float())
            else:
                self._write(number, old, value)

    def _write(self, number: int, old: Tensor, value: Any) -> None:
        if self.key is not None and old.dtype in rounding.LOW:
            value = rounding.stochastic(
                torch.as_tensor(value).float(), old.dtype, self.key + rounding.stream_key(number)
            )
        old.copy_(value) if isinstance(value, Tensor) else old.fill_(value)


def update(
    structure: StepVariant, rows: Sequence[Elements], which: Array, values: Mapping[str, Array]
) -> dict[str, Array]:
    """Steps every row in place; returns the new row states `[distinct]`."""
    program = trace(structure)
    after = {name: np.array(values[name]) for name in program.row_states}
    for row, r in zip(rows, which.tolist(), strict=True):
        scalars = {name: float(array[r]) for name, array in values.items()}
        g, p, *held = inputs = row.wide
        states = _scalar_states(structure, scalars) | dict(zip(program.states, held, strict=True))
        if AGREEMENT in program.measured:
            agrees = agreement(structure, g, p, states, scalars["t"], scalars)
            scalars[AGREEMENT] = float(shares([agrees.sum(dtype=accumulation_dtype(agrees))], [row])[0])
        p, new = step(structure, g, p, states, scalars["t"], scalars)
        fresh = [_apart(value, inputs) for value in (p, *(new[name] for name in program.states))]
        row.store(fresh[0], fresh[1:])
        for name in program.row_states:
            after[name][r] = new[name]
    return after


def shares(counts: Sequence[Any], rows: Sequence[Elements]) -> Array:
    """The counted fraction of each row's elements, float64 `[n]`; 0 for a row without elements."""
    each = zip(counts, rows, strict=True)
    return np.array([float(row.share(n) if row.share else n / max(1, row.p.numel())) for n, row in each])


def _apart(value: Any, inputs: tuple[Tensor, ...]) -> Any:
    """Clones a value that is an input (a rule may return one as another state), so that storing cannot overwrite it."""
    return value.clone() if any(value is tensor for tensor in inputs) else value


def _scalar_states(structure: StepVariant, scalars: Mapping[str, float]) -> dict[str, Any]:
    """Row states as numbers, and 0 for a state that this step variant lacks and only passes through."""
    return {s.name: scalars.get(s.name, 0.0) for s in structure.states}
