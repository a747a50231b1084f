"""The state of PyTorch's own optimizers, as tensors and facts."""

from typing import Any

import torch
from torch import Tensor

from thalweg.population.updates.snapshot import Snapshot


def packed(optimizer: torch.optim.Optimizer) -> Snapshot | None:
    """Its state; `None` where it may keep some elsewhere (any but PyTorch's own classes), or not as numbers."""
    if not type(optimizer).__module__.startswith("torch.optim"):
        return None
    tensors: dict[str, Tensor] = {}
    try:
        facts = _facts(optimizer.state_dict(), tensors, "")
    except TypeError:
        return None
    return Snapshot(tensors, facts)


def unpack(optimizer: torch.optim.Optimizer, state: Snapshot) -> None:
    """Goes on from what `packed` gave."""
    saved = _values(state.facts, state.tensors)
    optimizer.load_state_dict(saved)
    ours = [p for group in optimizer.param_groups for p in group["params"]]
    for i, values in saved["state"].items():  # loading casts to the parameter's dtype
        optimizer.state[ours[i]] = values


def _facts(value: Any, tensors: dict[str, Tensor], path: str) -> Any:
    """Plain data of JSON; tensors are put aside under their path. Raises `TypeError` for anything else."""
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
        return tensors[inside].clone()  # where torch lays it: sums over it depend on that in their last digit
    if kind == "items":
        return {key: _values(value, tensors) for key, value in inside}
    if kind == "value":
        return inside
    whole = [_values(value, tensors) for value in inside]
    return tuple(whole) if kind == "tuple" else whole
