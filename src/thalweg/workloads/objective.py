"""The objective of a workload: loss and metric of a model and a batch, stated once for training and evaluation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from thalweg.errors import ReturnValueError, shown
from thalweg.options.ranges import as_number
from thalweg.workloads.metrics import Metric
from thalweg.workloads.source import Batch

Model = Callable[..., Any]
"""A module, or a module called with other parameters: inputs → outputs."""


@dataclass(frozen=True)
class Objective:
    """What a workload minimizes and measures. workload: its name, for messages."""

    workload: str
    function: Callable[[Any, Tensor], Any]
    metric: Metric

    def loss(self, model: Model, batch: Batch) -> Tensor:
        """The loss of a batch, a tensor without dimensions. Raises `ReturnValueError` unless it is one real number."""
        return self.loss_of(self.outputs(model, batch), batch.targets)

    def outputs(self, model: Model, batch: Batch) -> Any:
        """The model's outputs, of which loss and metric are functions."""
        return model(*batch.inputs)

    def loss_of(self, outputs: Any, targets: Tensor) -> Tensor:
        loss: Any = self.function(outputs, targets)
        if isinstance(loss, Tensor) and loss.numel() == 1 and loss.is_floating_point():
            return loss if loss.ndim == 0 else loss.reshape(())
        if not isinstance(loss, Tensor):
            arrived, advice = shown(loss), "return a tensor that gradients flow through"
        else:
            arrived = f"a {str(loss.dtype).removeprefix('torch.')} tensor of shape {list(loss.shape)}"
            advice = "end it with .mean()" if loss.numel() > 1 else "return a mean in floating point"
        raise ReturnValueError(
            f"The loss of {self.workload!r} must return a real number as a tensor, the mean over a batch, got"
            f" {arrived}; {advice}."
        )

    def metric_of(self, outputs: Any, targets: Tensor) -> float:
        """The metric's value. Raises `ReturnValueError` where it is not a number."""
        value = self.metric.fresh()(outputs, targets)
        read = float(value) if isinstance(value, bool) else as_number(value)
        if read is None:
            raise ReturnValueError(f"The metric {self.metric.name!r} must return a number, got {shown(value)}.")
        return read
