"""Sharded parameters (DTensors, as FSDP2 creates them): each rank steps its local shard."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution.reference import Elements
from thalweg.execution.storage import rounding
from thalweg.optim.interop.precision import Precision


def spread(x: Any) -> bool:
    """Whether the tensor is a DTensor."""
    module = sys.modules.get("torch.distributed.tensor")  # a DTensor exists only after this import
    return module is not None and isinstance(x, module.DTensor)


def part(x: Any) -> Tensor:
    """This rank's shard, in the same memory; a plain tensor is returned as it is."""
    found: Tensor = x.to_local() if spread(x) else x
    return found


def require_whole(params: Sequence[Tensor], precision: Precision) -> None:
    """Raises `InputError` for sharded parameters with 8-bit states, whose blocks do not follow the shards."""
    if precision.state_dtype == "8bit" and any(map(spread, params)):
        raise InputError(
            "state_dtype='8bit' is for parameters that are whole on a machine, and got one that is spread over several"
            " (a DTensor); give those a group without it."
        )


def elements(whole: Elements) -> Elements:
    """This rank's shard of a row. Raises as torch does where the gradient cannot be sharded as the parameter is."""
    p: Any = whole.p
    if not spread(p):
        return whole
    g: Any = whole.g
    if spread(g) and g.placements != p.placements:  # such as a partial one, yet to be summed
        g = g.redistribute(p.device_mesh, p.placements)
    rest = None if whole.rest is None else part(whole.rest)
    states = tuple(map(part, whole.states))
    key = None if whole.key is None else whole.key ^ _of_the_part(p)
    return replace(whole, g=part(g), p=part(p), states=states, rest=rest, key=key, share=_share(p))


def norm(x: Any) -> Tensor:
    """The global norm of a DTensor, 0-d; a plain tensor is returned as it is. Both have the whole tensor's norm."""
    if not spread(x):
        found: Tensor = x
        return found
    of_all: Tensor = torch.linalg.vector_norm(rounding.upcast(x)).full_tensor()
    return of_all


def _share(p: Any) -> Callable[[Any], Tensor]:
    """Returns a function from this rank's sum over a tensor sharded like `p` to that tensor's global mean."""

    def mean(of_part: Any) -> Tensor:
        total = torch.as_tensor(of_part, device=part(p).device).double()
        for dimension, placement in enumerate(p.placements):
            if not placement.is_replicate():
                torch.distributed.all_reduce(total, group=p.device_mesh.get_group(dimension))
        share: Tensor = total / max(1, p.numel())
        return share

    return mean


def _of_the_part(p: Any) -> int:
    """The shard's stream key for stochastic rounding; replicas of a shard have the same."""
    found = 0
    for dimension, placement in enumerate(p.placements):
        if not placement.is_replicate():
            found = found * p.device_mesh.size(dimension) + p.device_mesh.get_local_rank(dimension)
    return rounding.stream_key(found)
