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
"""What a row's tensors may be held in. float64 stands alone; the others mix, and are computed in float32.

int16 is for the rest of a bfloat16 parameter alone, uint8 for states in 8 bits.
"""

Storage = tuple[torch.dtype, ...]
Streams = Sequence[Tensor]
"""One row's tensors: gradient, parameter, states, the rest of a compensated parameter, scales of states in 8 bits."""
