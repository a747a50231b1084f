"""Unscales gradients for a `torch.amp.GradScaler`, in optimizers with `fused=True`.

For other optimizers the scaler itself unscales gradients, in place, and skips the step after an overflow. A fused one
gets `grad_scale` and `found_inf` instead, as torch's do: nothing waits for a device, and float16 gradients are allowed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from thalweg.execution.storage.rounding import LOW, upcast
from thalweg.optim.interop.sparse import coalesced

Finer = Mapping[Tensor, Tensor]
"""Parameter → its gradient in float32, where `p.grad` holds it rounded to 16 bits."""

NONE_FINER: Finer = {}


def unscale(groups: Iterable[Mapping[str, Any]], scale: Tensor) -> Finer:
    """Divides every gradient by the scale, in place. Returns 16-bit ones in float32, where small values survive."""
    inverse = scale.double().reciprocal().float()  # as torch's scaler computes it
    finer = {}
    for p in (p for group in groups for p in group["params"] if p.grad is not None):
        if p.grad.dtype in LOW:
            p.grad = coalesced(p.grad)  # sums duplicate rows before rounding
            finer[p] = upcast(p.grad) * inverse.to(p.device)
            p.grad.copy_(finer[p])
        else:
            values = p.grad._values() if p.grad.is_sparse else p.grad
            values.mul_(inverse.to(p.device))
    return finer
