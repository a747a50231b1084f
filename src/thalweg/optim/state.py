"""The state of a drop-in's parameters in torch's layout: `step`, and the rule's states by torch's names."""

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from thalweg.optim.signature import hyperparameters
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.compose import MASK
from thalweg.recipes.trace import Program, trace
from thalweg.rules.contract import State

States = MutableMapping[Any, Any]


def keeps(recipe: Recipe, program: Program) -> bool:
    """Whether a parameter has any state. Plain SGD has none, as in torch."""
    return bool(recipe.rule.counts_steps or program.states or program.row_states)


def create(recipe: Recipe, all_states: States, group: Mapping[str, Any]) -> None:
    """Gives every parameter of the group the state that a first step would."""
    values = recipe.resolve(hyperparameters(recipe, group))
    for p in group["params"]:
        ensure(recipe, trace(recipe.structure(values)), all_states[p], p, values)


def ensure(recipe: Recipe, program: Program, state: States, p: Tensor, values: Mapping[str, Any]) -> bool:
    """Creates what is missing of a parameter's state. Says whether none of the rule's was there."""
    names = (*program.states, *program.row_states)
    missing = [name for name in names if state.get(name) is None]
    if recipe.rule.counts_steps and "step" not in state:
        state["step"] = torch.tensor(0.0, dtype=_scalar_dtype())
    if missing:
        declared = {s.name: s for s in (*recipe.rule.states, MASK)}
        for name in missing:
            state[name] = _initial(declared[name], p, values)
    return len(missing) == len(names)


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


def _initial(declared: State, p: Tensor, values: Mapping[str, Any]) -> Tensor:
    start = values[declared.initial] if isinstance(declared.initial, str) else declared.initial
    if declared.per_row:
        return torch.tensor(float(start), dtype=torch.float64 if declared.double else torch.get_default_dtype())
    fill = complex(start, start) if p.is_complex() else start
    return torch.full_like(p, fill, memory_format=torch.preserve_format)


def _scalar_dtype() -> torch.dtype:
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32
