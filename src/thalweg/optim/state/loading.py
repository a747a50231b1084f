"""Converts a checkpoint's state to what this optimizer creates: its dtype, the parameter's layout, new memory."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thalweg.execution import quantization
from thalweg.execution.data_pointers import PLAIN
from thalweg.execution.storage.codebook import blocks_of
from thalweg.execution.storage.rounding import wide
from thalweg.optim.interop.precision import Precision
from thalweg.optim.state.quantized_state import SCALES
from thalweg.optim.state.state import RESIDUAL, scalar_dtype
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.options import STATES
from thalweg.rules.states import State


def own_states(recipe: Recipe) -> dict[str, State]:
    """The states that the optimizer has under any setting, by name."""
    return {state.name: state for state in (*recipe.rule.states, *STATES.values())}


def restored(
    recipe: Recipe, saved: Mapping[str, Any], p: Tensor, precision: Precision, *, to_device: bool
) -> dict[str, Any]:
    """A parameter's state from a checkpoint. Unknown entries are copied as they are.

    to_device: whether the step count and row states go to the parameter's device, for a capturable step.
    """
    known, state = own_states(recipe), dict[str, Any]()
    for name, value in saved.items():
        declared = known.get(name)
        if name.endswith(SCALES) and name.removesuffix(SCALES) in known:
            continue  # loaded with the codes
        if name == "step":
            state[name] = _number(value, _step_dtype(value), p.device if to_device else None)
        elif declared and declared.per_row and _is_number(value):
            state[name] = _number(value, _row_dtype(declared, value, p), p.device if to_device else None)
        elif declared and declared.shape is not None and isinstance(value, Tensor):
            state[name] = value.detach().to(p.device, wide(p.dtype), copy=True)
        elif isinstance(value, Tensor) and (declared or name == RESIDUAL) and not p.is_meta:
            state |= _elementwise(name, declared, value, saved.get(name + SCALES), p, precision)
        else:
            state[name] = copied(value, p.device)
    return state


def copied(value: Any, device: torch.device) -> Any:
    """A copy of an unknown value, its tensors on the device and in their own dtypes."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    if type(value) is dict:
        return {key: copied(inside, device) for key, inside in value.items()}
    return type(value)(copied(inside, device) for inside in value) if type(value) in (list, tuple) else value


def _elementwise(
    name: str, declared: State | None, value: Tensor, scales: Tensor | None, p: Tensor, precision: Precision
) -> dict[str, Tensor]:
    """The state, with its scales if it is quantized. Without a declaration it is the residual, in int16."""
    weights = declared is None or declared.holds_weights
    if type(p) not in PLAIN or type(value) not in PLAIN or value.layout != torch.strided:
        return {name: value.to(value.dtype if declared is None else precision.dtype(p, weights=weights), copy=True)}
    coded = precision.in_8_bits(p) and not weights
    if scales is not None:
        if coded and value.stride() == p.stride():
            return {name: _like(p, value), name + SCALES: scales.detach().to(p.device, copy=True)}
        value = quantization.decoded(value, scales)
    if coded:
        found = torch.empty_like(p, dtype=torch.uint8)
        of_blocks = torch.empty(blocks_of(p.numel()), device=p.device)
        quantization.replace(found, of_blocks, value.to(p.device).float())
        return {name: found, name + SCALES: of_blocks}
    return {name: _like(p, value, None if declared is None else precision.dtype(p, weights=weights))}


def _like(p: Tensor, value: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A copy of the values, in the parameter's layout and on its device."""
    return torch.empty_like(p, dtype=dtype or value.dtype, requires_grad=False).copy_(value.detach())


def _number(value: Any, dtype: torch.dtype, device: torch.device | None) -> Tensor:
    held = value.detach() if isinstance(value, Tensor) else torch.tensor(float(value), device="cpu")
    return held.to(device or held.device, dtype, copy=True).reshape(())


def _is_number(value: Any) -> bool:
    return value.numel() == 1 if isinstance(value, Tensor) else isinstance(value, int | float)


def _step_dtype(value: Any) -> torch.dtype:
    held = isinstance(value, Tensor) and value.dtype in (torch.float32, torch.float64)
    return value.dtype if held else scalar_dtype()


def _row_dtype(declared: State, value: Any, p: Tensor) -> torch.dtype:
    """float64 where the optimizer creates that, or torch has cast a float64 parameter's state to it; else float32."""
    if declared.double or torch.get_default_dtype() == torch.float64:
        return torch.float64
    cast = isinstance(value, Tensor) and value.dtype == torch.float64 and p.dtype == torch.float64
    return torch.float64 if cast else torch.float32
