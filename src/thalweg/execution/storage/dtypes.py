"""The dtypes that compiled passes read and write."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

STORAGE: Mapping[torch.dtype, str] = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.int16: "int16",
    torch.uint8: "uint8",
}
"""Dtypes of a row's tensors, with names. float64 mixes with no other; the others mix, and are computed in float32.

int16 is only for the residual of a bfloat16 parameter, uint8 only for 8-bit states.
"""

Storage = tuple[torch.dtype, ...]
Streams = Sequence[Tensor]
"""One row's tensors: gradient, parameter, states, the residual of a compensated parameter, scales of 8-bit states."""
