"""What is measured on a split: a function of all its outputs and targets, and which way is better."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from thalweg.errors import InputError, shown, suggest
from thalweg.options.kinds import Line


@dataclass(frozen=True)
class Metric:
    """`function(outputs, targets)` → number over a whole split.

    higher_is_better: how to compare. vectorized: whether `torch.vmap` may call the function for many models
    at once.
    """

    name: str
    function: Callable[[Any, Tensor], Any]
    higher_is_better: bool = True
    vectorized: bool = False

    def __post_init__(self) -> None:
        line = Line()
        if line.read(self.name) is None:
            raise InputError(f"The name of a metric must be {line.accepted}, got {shown(self.name)}.")
        if not callable(self.function):
            raise InputError(f"The function of a metric must be a callable, got {shown(self.function)}.")


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of samples whose largest output, of `[samples, classes]`, is the target `[samples]`."""
    classes = outputs.argmax(-1)
    _require_one_shape("accuracy", classes, targets)
    return (classes == targets).double().mean()


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error over all elements of two tensors of one shape."""
    _require_one_shape("mse", outputs, targets)
    return (outputs - targets).double().square().mean()


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error over all elements of two tensors of one shape."""
    _require_one_shape("mae", outputs, targets)
    return (outputs - targets).double().abs().mean()


def _require_one_shape(metric: str, outputs: Tensor, targets: Tensor) -> None:
    """Outputs `[samples, 1]` and targets `[samples]` would broadcast to all pairs, silently."""
    if outputs.shape != targets.shape:
        raise InputError(
            f"{metric} compares outputs with targets one by one, got shapes {list(outputs.shape)} and"
            f" {list(targets.shape)}."
        )


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, vectorized=True),
        Metric("mse", mse, higher_is_better=False, vectorized=True),
        Metric("mae", mae, higher_is_better=False, vectorized=True),
    )
}


def metric_named(name: str) -> Metric:
    """The metric of that name. Raises `InputError` with the nearest known names."""
    if name not in METRICS:
        raise InputError(f"Unknown metric {shown(name)}. {suggest(name, METRICS)}")
    return METRICS[name]
