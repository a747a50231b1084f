"""The user's loss, checked to be one real number."""

from typing import Any

from torch import Tensor

from thalweg.errors import shown
from thalweg.population.program.failures import ReturnValueError
from thalweg.workloads.workload import Workload


def mean_loss(workload: Workload, outputs: Any, targets: Tensor) -> Tensor:
    """The loss as a 0-dimensional tensor. Raises `ReturnValueError` unless it is one floating-point number."""
    loss: Any = workload.loss(outputs, targets)
    if isinstance(loss, Tensor) and loss.numel() == 1 and loss.is_floating_point():
        return loss if loss.ndim == 0 else loss.reshape(())
    if not isinstance(loss, Tensor):
        arrived, advice = shown(loss), "return a tensor that gradients flow through"
    else:
        arrived = f"a {str(loss.dtype).removeprefix('torch.')} tensor of shape {list(loss.shape)}"
        advice = "end it with .mean()" if loss.numel() > 1 else "return a mean in floating point"
    raise ReturnValueError(
        f"The loss of {workload.name!r} must return a real number as a tensor, the mean over a batch, got {arrived};"
        f" {advice}."
    )
