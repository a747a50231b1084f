"""The state of a drop-in's parameters in torch's layout: `step`, and the rule's states by torch's names."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor

from thalweg.optim import eightbit
from thalweg.optim.precision import Precision
from thalweg.optim.signature import hyperparameters
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.compose import Structure
from thalweg.recipes.trace import Program, trace
from thalweg.rules.states import PARAMETER, State

States = MutableMapping[Any, Any]

REST = "compensation"
"""The state that holds what rounding leaves over."""


def keeps(structure: Structure, program: Program, params: Sequence[Tensor], precision: Precision) -> bool:
    """Whether any of the parameters has any state. Plain SGD in float32 has none, as in torch."""
    own = structure.counts_steps or program.states or program.row_states
    return bool(own) or counts(structure, params, precision) or any(map(precision.compensates, params))


def counts(structure: Structure, params: Sequence[Tensor], precision: Precision) -> bool:
    """Whether steps are counted: for the rule, or for the chances of rounding."""
    return structure.counts_steps or precision.chances(params)


def create(recipe: Recipe, all_states: States, group: Mapping[str, Any], precision: Precision) -> None:
    """Gives every parameter of the group the state that a first step would, but for what begins as the parameter."""
    values = recipe.resolve(hyperparameters(recipe, group))
    structure = recipe.structure(values)
    program, counted = trace(structure), counts(structure, group["params"], precision)
    for p in group["params"]:
        _start_counting(structure, all_states[p], fresh=True, counted=counted)
        _create(structure, program, all_states[p], p, values, precision, early=True)


def ensure(
    structure: Structure,
    program: Program,
    state: States,
    p: Tensor,
    values: Mapping[str, Any],
    precision: Precision,
    *,
    counted: bool,
    device: torch.device | None = None,
) -> bool:
    """Creates what is missing of a parameter's state. Says whether none of the rule's was there.

    device: of the numbers that a parameter has one of; they stay where they are without.
    """
    own = (s.name for s in structure.rule.states)
    fresh = all(state.get(name) is None for name in own if name in program.states or name in program.row_states)
    _start_counting(structure, state, fresh, counted)
    _create(structure, program, state, p, values, precision)
    for name in ("step", *program.row_states) if device else ():
        if name in state:
            state[name] = state[name].to(device)
    return fresh


def _start_counting(structure: Structure, state: States, fresh: bool, counted: bool) -> None:
    """A rule that counts no steps itself takes a state that is there for a step behind it."""
    if counted and "step" not in state:
        start = 0.0 if fresh or structure.rule.counts_steps else 1.0
        state["step"] = torch.tensor(start, dtype=_scalar_dtype())


def _create(
    structure: Structure,
    program: Program,
    state: States,
    p: Tensor,
    values: Mapping[str, Any],
    precision: Precision,
    *,
    early: bool = False,
) -> None:
    """early: before the parameter's first step, when its value may still change."""
    missing = {name for name in (*program.states, *program.row_states) if state.get(name) is None}
    for declared in structure.states if missing else ():
        if declared.name in missing and not (early and declared.initial == PARAMETER):
            state.update(_initial(declared, p, values, precision))
    if precision.compensates(p) and state.get(REST) is None:
        state[REST] = torch.zeros_like(p, dtype=torch.int16, memory_format=torch.preserve_format)


def adopt(recipe: Recipe, all_states: States) -> None:
    """Brings loaded state into the layout: steps kept as numbers by old checkpoints become tensors."""
    for state in all_states.values():
        if "step" in state and not isinstance(state["step"], Tensor):
            state["step"] = torch.tensor(float(state["step"]), dtype=_scalar_dtype())


def restore_dtypes(state: States, saved: Mapping[str, Any], p: Tensor) -> None:
    """Undoes torch's cast of loaded state to the parameter's dtype, which would round float32 moments to bfloat16."""
    for name, value in saved.items():
        if isinstance(value, Tensor) and isinstance(state.get(name), Tensor) and state[name].dtype != value.dtype:
            state[name] = value.detach().clone().to(state[name].device)


def _initial(declared: State, p: Tensor, values: Mapping[str, Any], precision: Precision) -> dict[str, Tensor]:
    """The state, and its scales where it is held in 8 bits."""
    name, start, dtype = declared.name, declared.first(values, p), precision.dtype(p, weights=declared.holds_weights)
    if declared.initial == PARAMETER:
        return {name: start.detach().to(dtype, copy=True, memory_format=torch.preserve_format)}
    if declared.per_row:
        row = torch.float64 if declared.double else torch.get_default_dtype()
        return {name: torch.tensor(float(start), dtype=row)}
    if precision.in_8_bits(p) and not declared.holds_weights:
        return eightbit.filled(name, p, float(start))
    start = float(start)  # a learning rate may stand in a tensor
    fill = complex(start, start) if p.is_complex() else start
    return {name: torch.full_like(p, fill, dtype=dtype, memory_format=torch.preserve_format)}


def _scalar_dtype() -> torch.dtype:
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32
