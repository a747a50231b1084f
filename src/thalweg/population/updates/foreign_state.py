"""The state of PyTorch's own optimizers, as tensors and JSON data."""

from typing import Any

import torch
from torch import Tensor

from thalweg.population.updates.snapshot import Snapshot


def packed(optimizer: torch.optim.Optimizer) -> Snapshot | None:
    """Its state; `None` if some may lie elsewhere (any class but PyTorch's own), or is neither tensor nor JSON data."""
    if not type(optimizer).__module__.startswith("torch.optim"):
        return None
    tensors: dict[str, Tensor] = {}
    try:
        facts = _facts(optimizer.state_dict(), tensors, "")
    except TypeError:
        return None
    return Snapshot(tensors, facts)


def unpack(optimizer: torch.optim.Optimizer, state: Snapshot) -> None:
    """Loads a state from `packed`."""
    saved = _values(state.facts, state.tensors)
    optimizer.load_state_dict(saved)
    ours = [p for group in optimizer.param_groups for p in group["params"]]
    for i, values in saved["state"].items():  # loading casts to the parameter's dtype
        optimizer.state[ours[i]] = values


def _facts(value: Any, tensors: dict[str, Tensor], path: str) -> Any:
    """The value as JSON data; tensors go to `tensors` by their path. Raises `TypeError` for anything else."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return {"tensor": path}
    if isinstance(value, dict):
        return {"items": [[k, _facts(v, tensors, f"{path}.{k}")] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        inside = [_facts(v, tensors, f"{path}.{i}") for i, v in enumerate(value)]
        return {type(value).__name__: inside}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise TypeError(type(value))


def _values(facts: Any, tensors: dict[str, Tensor]) -> Any:
    ((kind, inside),) = facts.items()
    if kind == "tensor":
        return tensors[inside].clone()  # to an address of torch's allocator: the last digit of sums depends on it
    if kind == "items":
        return {key: _values(value, tensors) for key, value in inside}
    if kind == "value":
        return inside
    whole = [_values(value, tensors) for value in inside]
    return tuple(whole) if kind == "tuple" else whole
