"""The reference: the rule on tensors, eagerly, a row at a time. Slow, allocates, always right.

What is held in bfloat16 or float16 is computed in float32, and rounded once, when it is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.recipes.compose import Structure, agreement, step
from thalweg.recipes.measures import shares
from thalweg.recipes.options import AGREEMENT
from thalweg.recipes.rows import Array
from thalweg.recipes.trace import trace


@dataclass(frozen=True, slots=True)
class Elements:
    """One row's tensors, all of one shape: gradient, parameter, and states in the program's order."""

    g: Tensor
    p: Tensor
    states: tuple[Tensor, ...]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Gradient, parameter and states."""
        return (self.g, self.p, *self.states)


def update(
    structure: Structure, rows: Sequence[Elements], which: Array, values: Mapping[str, Array]
) -> dict[str, Array]:
    """Steps every row in place; returns the new row states `[distinct]`."""
    program = trace(structure)
    after = {name: np.array(values[name]) for name in program.row_states}
    for row, r in zip(rows, which.tolist(), strict=True):
        scalars = {name: float(array[r]) for name, array in values.items()}
        g, p, *held = inputs = tuple(_wide(tensor) for tensor in row.tensors)
        states = _scalar_states(structure, scalars) | dict(zip(program.states, held, strict=True))
        if AGREEMENT in program.measured:
            scalars[AGREEMENT] = _share(agreement(structure, g, p, states, scalars["t"], scalars))
        p, new = step(structure, g, p, states, scalars["t"], scalars)
        fresh = [_apart(value, inputs) for value in (p, *(new[name] for name in program.states))]
        for old, value in zip((row.p, *row.states), fresh, strict=True):
            old.copy_(value) if isinstance(value, Tensor) else old.fill_(value)
        for name in program.row_states:
            after[name][r] = new[name]
    return after


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _share(agrees: Tensor) -> float:
    return float(shares([agrees])[0])


def _apart(value: Any, inputs: tuple[Tensor, ...]) -> Any:
    """A new value that survives the writing of the others: a rule may return what it was given, as another state."""
    return value.clone() if any(value is tensor for tensor in inputs) else value


def _scalar_states(structure: Structure, scalars: Mapping[str, float]) -> dict[str, Any]:
    """Row states as numbers, and 0 for a state that does not exist under this structure and is only passed through."""
    return {s.name: scalars.get(s.name, 0.0) for s in structure.states}
