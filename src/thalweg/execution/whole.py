"""Whole tensors before and after the elementwise update: transforms of gradients, constraints of parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from torch import Tensor

from thalweg.execution.elements import Elements
from thalweg.execution.storage.rounding import upcast
from thalweg.recipes.compose import StepVariant, constrain, transform_gradients
from thalweg.recipes.options import CONSTRAINTS
from thalweg.regularization import units


def transform_gradient(
    structure: StepVariant, gradient: Tensor, parameter: Tensor, values: Mapping[str, Any]
) -> Tensor:
    """The gradient after whole-tensor transforms (16-bit ones in float32); unchanged if there are none."""
    if not structure.transforms:
        return gradient
    g, p = upcast(gradient), upcast(parameter)
    return cast(Tensor, transform_gradients(structure, g[None], p[None], values)[0])


def constrained(structure: StepVariant, row: Elements, values: Mapping[str, Any]) -> Tensor:
    """The row's parameter in its compute dtype after its constraints. Pure."""
    p = row.wide_p
    if not row.has_units:
        return p
    return cast(Tensor, constrain(structure, p[None], values, _unit_norms(row))[0])


def _unit_norms(row: Elements) -> Callable[[Tensor], Tensor]:
    """The norms of units, over all shards of the row."""
    shards = row.shards
    if shards is None:
        return units.norm
    return lambda x: shards.total(units.norm(x).double().square(), within_units=True).sqrt().to(x.dtype)


def constrain_rows(structure: StepVariant, rows: Sequence[Elements], values: Mapping[str, Any]) -> None:
    """Constrains the parameters of rows `in_float32` in place. values: arrays `[rows]`, or one number for all."""
    read = [name for name in CONSTRAINTS if structure.has(name)]
    for r, row in enumerate(rows):
        if row.has_units:
            own = {name: float(np.broadcast_to(values[name], (len(rows),))[r]) for name in read}
            row.p.copy_(constrained(structure, row, own))
