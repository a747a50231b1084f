"""Sharded parameters (DTensors, as FSDP2 creates them): each rank steps its local shard."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution.elements import Elements
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
    residual = None if whole.residual is None else part(whole.residual)
    states, key = tuple(map(part, whole.states)), None if whole.key is None else whole.key ^ _of_the_part(p)
    return replace(whole, g=part(g), p=part(p), states=states, residual=residual, key=key, shards=ShardsOf(p))


class ShardsOf:
    """The shards of a DTensor: see `execution.elements.Shards`."""

    def __init__(self, p: Any) -> None:
        self._p, self.size = p, p.numel()

    def total(self, x: Any, *, within_units: bool = False) -> Tensor:
        """The sum over all shards; `within_units`: over those only that hold parts of the same units."""
        total = torch.as_tensor(x, device=part(self._p).device).double().clone()
        for dimension, placement in enumerate(self._p.placements):
            if not (placement.is_replicate() or (within_units and placement.is_shard(0))):
                torch.distributed.all_reduce(total, group=self._p.device_mesh.get_group(dimension))
        return total


def _of_the_part(p: Any) -> int:
    """The shard's stream key for stochastic rounding; replicas of a shard have the same."""
    found = 0
    for dimension, placement in enumerate(p.placements):
        if not placement.is_replicate():
            found = found * p.device_mesh.size(dimension) + p.device_mesh.get_local_rank(dimension)
    return rounding.stream_key(found)
