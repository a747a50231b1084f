"""One param group's step: gather what has a gradient, and hand it to compiled or reference execution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.optim import state as states
from thalweg.optim.signature import class_name, hyperparameters
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.compose import Structure
from thalweg.recipes.execution import compiled, reference
from thalweg.recipes.execution.reference import Elements
from thalweg.recipes.trace import Program, trace


@dataclass(frozen=True, slots=True)
class _Row:
    elements: Elements
    t: float
    state: states.States


def update_group(recipe: Recipe, all_states: states.States, group: Mapping[str, Any]) -> None:
    """Steps every parameter of the group that has a gradient, in place."""
    values = _numbers(recipe, group)
    structure = recipe.structure(values)
    program = trace(structure)
    keeps = recipe.rule.counts_steps or program.states or program.row_states  # plain SGD has no state, as in torch
    stepped = [p for p in group["params"] if p.grad is not None]
    rows = [_row(recipe, program, all_states[p] if keeps else {}, p, values) for p in stepped]
    buckets: dict[Any, list[_Row]] = {}
    for row in rows:
        buckets.setdefault(_executor(row.elements), []).append(row)
    for (compile_it, _), bucket in buckets.items():
        _update(compiled if compile_it else reference, structure, program, bucket, values)


def _numbers(recipe: Recipe, group: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as plain numbers; a schedule may have put a tensor there."""
    given = hyperparameters(recipe, group)
    return {name: v if isinstance(v := given[name], bool) else float(v) for name in recipe.hyperparameters}


def _row(recipe: Recipe, program: Program, state: states.States, p: Tensor, values: Mapping[str, Any]) -> _Row:
    gradient = p.grad
    if gradient is None or gradient.is_sparse:
        raise InputError(f"{class_name(recipe)} takes dense gradients only; create the embedding with sparse=False.")
    t = 1.0 if states.ensure(recipe, program, state, p, values) else 2.0
    if recipe.rule.counts_steps:
        state["step"] += 1
        t = state["step"].item()
    kept = tuple([state[name] for name in program.states])
    if p.is_complex():  # as pairs of real numbers: elementwise rules treat the two parts alike, as torch does
        view = torch.view_as_real
        gradient, p, kept = view(gradient), view(p), tuple(view(s) for s in kept)
    if not (gradient.is_contiguous() and p.is_contiguous()) and gradient.stride() != p.stride():
        gradient = torch.empty_like(p).copy_(gradient)  # into the parameter's memory layout
    return _Row(Elements(gradient, p, kept), t, state)


def _executor(row: Elements) -> tuple[bool, torch.dtype]:
    """Whether the compiled pass can take the row, whose tensors must lie alike in memory; and its dtype."""
    p, rest = row.p, (row.g, *row.states)
    alike = p.is_contiguous()
    for tensor in rest:
        alike = alike and tensor.is_contiguous()
    alike = alike or all(tensor.stride() == p.stride() for tensor in rest)
    for tensor in rest:
        alike = alike and tensor.dtype == p.dtype
    return alike and compiled.accepts(p), p.dtype


def _update(
    module: Any, structure: Structure, program: Program, rows: Sequence[_Row], values: Mapping[str, Any]
) -> None:
    """Rows with the same row values share one line of the table."""
    if program.row_states:
        t, which = np.array([row.t for row in rows]), np.arange(len(rows))
    else:
        t, which = np.unique([row.t for row in rows], return_inverse=True)
    numbers = [name for name, value in values.items() if not isinstance(value, bool)]
    read = program.inputs if module is compiled else numbers  # the rule itself takes even those it does not use
    arrays = {name: np.full(len(t), values[name]) for name in read} | {"t": t}
    arrays |= {name: np.array([row.state[name].item() for row in rows]) for name in program.row_states}
    after = module.update(structure, [row.elements for row in rows], which.astype(np.int64), arrays)
    for name, new in after.items():
        for row, value in zip(rows, new.tolist(), strict=True):
            row.state[name].fill_(value)
