"""What the memory of a row must look like for a compiled pass, and which rows one pass can take."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.recipes.execution.addresses import PLAIN
from thalweg.recipes.execution.gpu import kernels

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

GPUS = ("cuda", "xpu")
"""Devices that Triton compiles for; AMD's are "cuda" to torch."""

Storage = tuple[torch.dtype, ...]
Streams = Sequence[Tensor]
"""One row's tensors: gradient, parameter, states, the rest of a compensated parameter, scales of states in 8 bits."""


def accepts(*tensors: Tensor) -> bool:
    """Whether a compiled pass can work on the memory of one row's tensors as it lies: at one place, dense, alike.

    A tensor of another class, such as one that is spread over machines, has no memory of its own.
    """
    if not {*map(type, tensors)} <= PLAIN or any(map(Tensor.is_neg, tensors)):
        return False
    dtypes, devices = {t.dtype for t in tensors}, {t.device for t in tensors}
    known = dtypes <= STORAGE.keys() and (torch.float64 not in dtypes or len(dtypes) == 1)
    return known and _reached(dtypes, devices) and all(t.layout == torch.strided for t in tensors) and _alike(tensors)


def _reached(dtypes: set[torch.dtype], devices: set[torch.device]) -> bool:
    (device,) = devices if len(devices) == 1 else [None]
    if device is None or unreached(device):
        return False
    return not on_gpu(device) or torch.uint8 not in dtypes


def unreached(device: torch.device) -> str:
    """Why no pass is compiled for a device; empty where one is."""
    if on_gpu(device):
        return kernels.trouble(device)
    return "" if device.type == "cpu" else f"nothing is compiled for {device.type}"


def on_gpu(device: torch.device) -> bool:
    """Whether passes are those of `gpu`."""
    return device.type in GPUS


def _alike(tensors: Sequence[Tensor]) -> bool:
    """Whether each fills one contiguous stretch of memory, and all in the same order of dimensions."""
    first = tensors[0]
    if first.is_contiguous():
        return all(t.is_contiguous() for t in tensors)
    dense: bool = torch.empty_like(first).stride() == first.stride()
    return dense and all(t.stride() == first.stride() for t in tensors)


def together(rows: Sequence[Streams]) -> dict[tuple[torch.device, Storage], Any]:
    """The indices of rows on one device whose streams have the same dtypes."""
    found: dict[tuple[torch.device, Storage], list[int]] = {}
    for r, row in enumerate(rows):
        found.setdefault((row[1].device, tuple(t.dtype for t in row)), []).append(r)
    return {alike: np.array(index) for alike, index in found.items()}
