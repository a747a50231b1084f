"""Parameters that are spread over machines (DTensors, as FSDP2 makes them): each machine steps its part."""

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
    """Whether the tensor is."""
    module = sys.modules.get("torch.distributed.tensor")  # whoever has one has imported it
    return module is not None and isinstance(x, module.DTensor)


def part(x: Any) -> Tensor:
    """This machine's part, in its memory; a tensor that is not spread is its own."""
    found: Tensor = x.to_local() if spread(x) else x
    return found


def require_whole(params: Sequence[Tensor], precision: Precision) -> None:
    """Raises `InputError` where states in 8 bits are asked for: their blocks are not the machines' parts."""
    if precision.state_dtype == "8bit" and any(map(spread, params)):
        raise InputError(
            "state_dtype='8bit' is for parameters that are whole on a machine, and got one that is spread over several"
            " (a DTensor); give those a group without it."
        )


def elements(whole: Elements) -> Elements:
    """This machine's part of a row. Raises what torch does where the gradient cannot be laid as the parameter is."""
    p: Any = whole.p
    if not spread(p):
        return whole
    g: Any = whole.g
    if spread(g) and g.placements != p.placements:  # such as one that is yet to be summed
        g = g.redistribute(p.device_mesh, p.placements)
    rest = None if whole.rest is None else part(whole.rest)
    states = tuple(map(part, whole.states))
    key = None if whole.key is None else whole.key ^ _of_the_part(p)
    return replace(whole, g=part(g), p=part(p), states=states, rest=rest, key=key, share=_share(p))


def norm(x: Any) -> Tensor:
    """What has the norm of the whole: that norm, of a tensor that is spread."""
    if not spread(x):
        found: Tensor = x
        return found
    of_all: Tensor = torch.linalg.vector_norm(rounding.upcast(x)).full_tensor()
    return of_all


def _share(p: Any) -> Callable[[Any], Tensor]:
    """The mean of a whole tensor, of whose elements the machines have those that they have of `p`, by their sums."""

    def mean(of_part: Any) -> Tensor:
        total = torch.as_tensor(of_part, device=part(p).device).double()
        for dimension, placement in enumerate(p.placements):
            if not placement.is_replicate():
                torch.distributed.all_reduce(total, group=p.device_mesh.get_group(dimension))
        share: Tensor = total / max(1, p.numel())
        return share

    return mean


def _of_the_part(p: Any) -> int:
    """What tells the chances of one part from those of another; copies of a part have the same."""
    found = 0
    for dimension, placement in enumerate(p.placements):
        if not placement.is_replicate():
            found = found * p.device_mesh.size(dimension) + p.device_mesh.get_local_rank(dimension)
    return rounding.stream_key(found)
