"""Memory requirements of a compiled pass, and the grouping of rows that one pass can step."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import listed
from thalweg.execution.data_pointers import PLAIN, has_memory
from thalweg.execution.gpu import kernels
from thalweg.execution.overlap import batches, tangled
from thalweg.execution.storage.codebook import blocks_of
from thalweg.execution.storage.dtypes import STORAGE, Storage, Streams
from thalweg.recipes.row_table import Array

GPUS = ("cuda", "xpu")
"""Device types that Triton compiles for; torch calls AMD's "cuda"."""


def accepts(*tensors: Tensor, scales: Sequence[Tensor] = ()) -> bool:
    """Whether a compiled pass can step one row in place, in its present memory layout."""
    return not obstacle(*tensors, scales=scales)


def obstacle(*tensors: Tensor, scales: Sequence[Tensor] = ()) -> str:
    """The reason why no compiled pass can step one row in place, as a clause; empty if one can.

    The tensors of a row must be allocated on one device, dense, of one shape and layout, and without overlap. A tensor
    subclass, such as a sharded DTensor, has no storage of its own, and a dispatch mode (tracing, fake tensors) would
    not see what a pass does.
    """
    other = next((type(t).__name__ for t in tensors if type(t) not in PLAIN), "")
    if other or watched():
        return f"a tensor is of class {other}" if other else "a mode of torch's follows all operations"
    dtypes, devices = {t.dtype for t in tensors}, {t.device for t in tensors}
    if not (dtypes <= STORAGE.keys() and (torch.float64 not in dtypes or len(dtypes) == 1)):
        return f"no pass is compiled for {listed(sorted(str(d).removeprefix('torch.') for d in dtypes))} at once"
    if not _reached(dtypes, devices):
        return f"no pass is compiled for tensors on {listed(sorted(map(str, devices)))}"
    if any(t.layout != torch.strided for t in tensors) or any(map(Tensor.is_neg, tensors)) or not _alike(tensors):
        return "a parameter, its gradient and its state lie differently in memory, or with gaps"
    if not all(map(has_memory, tensors)) or not _scaled(tensors[0], scales):
        return "a tensor has no memory of its own"
    return "a parameter, its gradient and its state share memory" if tangled((*tensors, *scales)) else ""


def watched() -> bool:
    """Whether a torch dispatch mode or functorch transform, such as tracing, intercepts operations."""
    return bool(torch._C._len_torch_dispatch_stack()) or torch._C._functorch.peek_interpreter_stack() is not None


def _scaled(first: Tensor, scales: Sequence[Tensor]) -> bool:
    """Whether these are valid scales of 8-bit states: float32, contiguous, on the device, one per block of elements."""
    blocks = blocks_of(first.numel())
    return all(
        type(s) in PLAIN and s.dtype is torch.float32 and s.device == first.device and s.is_contiguous()
        and s.numel() == blocks and has_memory(s)
        for s in scales
    )  # fmt: skip


def _reached(dtypes: set[torch.dtype], devices: set[torch.device]) -> bool:
    (device,) = devices if len(devices) == 1 else [None]
    if device is None or unreached(device):
        return False
    return not on_gpu(device) or torch.uint8 not in dtypes


def unreached(device: torch.device) -> str:
    """The reason why no pass is compiled for a device; empty if one is."""
    if on_gpu(device):
        return kernels.trouble(device)
    return "" if device.type == "cpu" else f"nothing is compiled for {device.type}"


def on_gpu(device: torch.device) -> bool:
    """Whether the device's passes are those of `gpu`."""
    return device.type in GPUS


def _alike(tensors: Sequence[Tensor]) -> bool:
    """Whether all have one shape and are dense in memory, in the same order of dimensions."""
    first = tensors[0]
    if any(t.shape != first.shape for t in tensors):
        return False
    if first.is_contiguous():
        return all(t.is_contiguous() for t in tensors)
    dense: bool = torch.empty_like(first).stride() == first.stride()
    return dense and all(t.stride() == first.stride() for t in tensors)


def together(rows: Sequence[Streams]) -> list[tuple[tuple[torch.device, Storage], Array]]:
    """Groups rows that one pass can step, in order: ((device, dtypes of their streams), indices)."""
    found: list[tuple[tuple[torch.device, Storage], Array]] = []
    for batch in batches(rows):
        alike: dict[tuple[torch.device, Storage], list[int]] = {}
        for r in batch.tolist():
            alike.setdefault((rows[r][1].device, tuple(t.dtype for t in rows[r])), []).append(r)
        found += [(held, np.array(index)) for held, index in alike.items()]
    return found
