"""Precision of a drop-in: rounding of low-precision parameters, and the dtype of states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError, shown
from thalweg.execution.storage.codebook import SMALLEST
from thalweg.execution.storage.rounding import LOW, Rounding, keys
from thalweg.options.kinds import Kind, OneOf
from thalweg.options.ranges import whole
from thalweg.recipes.row_table import Array

MOST = 2.0**24  # float32 counts to here: later steps are counted in float64

KINDS: Mapping[str, Kind] = {
    "rounding": OneOf(get_args(Rounding)),
    "rounding_seed": whole(0, 2**63 - 1),
    "state_dtype": OneOf(("parameter", "bfloat16", "8bit")),  # or None
}

PRECISION: Mapping[str, Any] = {"rounding": "stochastic", "rounding_seed": 0, "state_dtype": None}
"""Arguments of every drop-in, and their defaults."""

MEANINGS: Mapping[str, str] = {
    "rounding": (
        "how parameters in bfloat16 and float16 are stored, 'stochastic', which keeps\n"
        "        small steps on average, 'compensated', with what rounding leaves over beside them,\n"
        "        or 'nearest', which loses small steps"
    ),
    "rounding_seed": "of the chances of stochastic rounding, a whole number from 0",
    "state_dtype": (
        "what states are held in: None, the parameter's dtype, but float32 for bfloat16\n"
        "        and float16; 'parameter', the parameter's always, as in torch; 'bfloat16'; '8bit', in\n"
        "        blocks of 256 with a scale each, where one number beyond float32's range (as the square\n"
        "        of a gradient above 1.8e19) makes NaN of its block"
    ),
}
"""A short description of each argument, for `help`."""


@dataclass(frozen=True)
class Precision:
    """A param group's precision settings. number: the group's index in the optimizer."""

    rounding: str
    seed: int
    state_dtype: str | None
    number: int

    @classmethod
    def of(cls, group: Mapping[str, Any], number: int) -> "Precision":
        rounding, seed, dtype = (group.get(name, default) for name, default in PRECISION.items())
        return cls(rounding, seed, dtype, number)

    def chances(self, params: Sequence[Tensor]) -> bool:
        """Whether stochastic rounding applies to the parameters or their states (it needs step counts).

        Unless rounding is to the nearest, it applies to low-precision states, and to parameters if not compensated.
        """
        if self.rounding == "nearest":
            return False
        low = any(p.dtype in LOW for p in params)
        states = self.state_dtype == "bfloat16" or (low and self.state_dtype == "parameter")
        return states or (low and self.rounding == "stochastic")

    def compensates(self, p: Tensor) -> bool:
        """Whether the parameter has a residual of compensated rounding."""
        return self.rounding == "compensated" and p.dtype in LOW

    def keys(self, t: Array, places: Array) -> Array:
        """Stochastic rounding keys of parameters at these indices in their group, at steps `t`, int64 `[n]`."""
        made: Array = keys(self.seed, t.astype(np.int64), places + (self.number << 32))
        return made

    def key(self, t: Tensor, place: Any) -> Tensor:
        """`keys` of tensors: a 0-d int64 tensor for one parameter and its 0-d step, `[n]` for several."""
        made: Tensor = keys(self.seed, t.long(), place + (self.number << 32))
        return made

    def in_8_bits(self, p: Tensor) -> bool:
        """Whether its states, except weights, are quantized: not for a small parameter, or one with gaps in memory."""
        if self.state_dtype != "8bit" or p.numel() < SMALLEST or p.dtype not in (torch.float32, *LOW):
            return False
        return torch.empty_like(p).stride() == p.stride()

    def dtype(self, p: Tensor, *, weights: bool) -> torch.dtype:
        """The dtype in which an elementwise state is created. weights: whether the state holds weights."""
        if self.state_dtype == "bfloat16" and not p.is_complex() and not weights:
            return torch.bfloat16
        return torch.float32 if p.dtype in LOW and self.state_dtype != "parameter" else p.dtype


def check(owner: str, group: Mapping[str, Any]) -> dict[str, Any]:
    """A group's precision settings, validated. Raises `InputError` with the values that are accepted."""
    given = {name: group.get(name, default) for name, default in PRECISION.items()}
    dtype = given["state_dtype"]
    if isinstance(dtype, torch.dtype):
        given["state_dtype"] = str(dtype).removeprefix("torch.")
    for name, kind in KINDS.items():
        read = None if given[name] is None else kind.read(given[name])
        if read is None and not (name == "state_dtype" and given[name] is None):
            raise InputError(f"{owner}: {name} must be {kind.accepted}, got {shown(given[name])}.")
        given[name] = read
    return given
