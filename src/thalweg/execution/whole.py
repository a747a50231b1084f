"""Whole tensors around the passes: transforms of gradients, calls on matrices, constraints of parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from thalweg.execution.elements import Elements
from thalweg.execution.lowering import stacked
from thalweg.execution.storage.rounding import upcast, wide
from thalweg.recipes.compose import StepVariant, constrain, transform_gradients
from thalweg.recipes.stages import Stage
from thalweg.recipes.trace import Program
from thalweg.regularization import units
from thalweg.rules.states import State


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
    read = structure.limits
    for r, row in enumerate(rows):
        if row.has_units:
            own = {name: float(np.broadcast_to(values[name], (len(rows),))[r]) for name in read}
            row.p.copy_(constrained(structure, row, own))


def with_transients(program: Program, row: Elements) -> Elements:
    """The row with memory for the program's transient streams, which follow its states."""
    if not program.transients:
        return row
    dtype = wide(row.p.dtype)
    made = (torch.zeros_like(row.p, dtype=dtype, memory_format=torch.preserve_format) for _ in program.transients)
    return replace(row, states=(*row.states, *made))


def matrix_state(declared: State, p: Tensor, start: Any, members: int | None = None) -> Tensor:
    """A state with a shape of its own beside a parameter, of one number everywhere; `[members, …]` beside a stack."""
    shape = declared.shape_for(tuple(p.shape if members is None else p.shape[1:]))
    whole = shape if members is None else (members, *shape)
    return p.new_zeros(whole, dtype=wide(p.dtype)) + float(start)  # made of p, for `torch.func`


def no_matrix(program: Program, shape: Sequence[int], *, is_complex: bool) -> str:
    """Why a program of whole matrices cannot step a parameter, as a clause; empty if it can."""
    if not program.transients or (len(shape) > 1 and not is_complex):
        return ""
    what = " is complex" if is_complex else f"'s shape is {[*shape]}"
    return f"it steps whole real matrices, and the parameter{what}"


def call_rows(program: Program, stage: Stage, rows: Sequence[Elements], columns: Any, going: Any = None) -> None:
    """Calls a stage's functions in place, once for all rows of one shape.

    columns: an array or a tensor, `[rows or 1, columns]`. going: unless true, matrix states stay as they are.
    """
    alike: dict[Any, list[int]] = {}
    for r, row in enumerate(rows):
        alike.setdefault((row.p.shape, row.p.dtype, row.p.device, row.states[-1].dtype), []).append(r)
    lines = torch.as_tensor(columns).expand(len(rows), columns.shape[-1])
    for index in alike.values():
        _call(program, stage, [rows[r] for r in index], lines[index], going)


def _call(program: Program, stage: Stage, rows: Sequence[Elements], columns: Tensor, going: Any) -> None:
    elements = {n: torch.stack([row.states[stage.states.index(n)] for row in rows]) for n in program.transients}
    held = {n: torch.stack([row.matrices[j] for row in rows]) for j, n in enumerate(program.matrix_states)}
    for name, new in stacked.called(stage, columns.to(rows[0].p.device), elements, held).items():
        if name in held and going is not None:
            new = torch.where(going, new, held[name].to(new.dtype))
        for row, value in zip(rows, new, strict=True):
            into = row.matrices[program.matrix_states.index(name)] if name in held else None
            (row.states[stage.states.index(name)] if into is None else into).copy_(value)
