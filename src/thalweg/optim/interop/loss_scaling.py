"""Gradients of a loss that a `torch.amp.GradScaler` has scaled, for optimizers with `fused=True`.

The scaler unscales the gradients of other optimizers itself, in place, and leaves their step out after an overflow. To
one that is fused it hands the scale and its findings over, as to torch's: nothing waits for a device, and gradients in
float16 are allowed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from thalweg.execution.storage.rounding import LOW, upcast
from thalweg.optim.interop.sparse import coalesced

Finer = Mapping[Tensor, Tensor]
"""Parameter → its gradient in float32, where `p.grad` has that rounded to 16 bits."""

NONE_FINER: Finer = {}


def unscale(groups: Iterable[Mapping[str, Any]], scale: Tensor) -> Finer:
    """Divides every gradient by the scale, in place. Small ones in 16 bits survive in what is returned."""
    inverse = scale.double().reciprocal().float()  # as torch's scaler has it
    finer = {}
    for p in (p for group in groups for p in group["params"] if p.grad is not None):
        if p.grad.dtype in LOW:
            p.grad = coalesced(p.grad)  # before duplicate rows are rounded
            finer[p] = upcast(p.grad) * inverse.to(p.device)
            p.grad.copy_(finer[p])
        else:
            values = p.grad._values() if p.grad.is_sparse else p.grad
            values.mul_(inverse.to(p.device))
    return finer
