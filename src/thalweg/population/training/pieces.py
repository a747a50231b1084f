"""Loss and metric of outputs: all at once, or accumulated over chunks where both are means over samples."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import vmap
from torch.utils._pytree import tree_map

from thalweg.errors import ReturnValueError
from thalweg.workloads.accuracy import Accuracy
from thalweg.workloads.classification import TopK, reading_of
from thalweg.workloads.loss_metrics import OwnLoss
from thalweg.workloads.losses import ignored_label
from thalweg.workloads.metrics import OfMean
from thalweg.workloads.objective import Objective, own_loss
from thalweg.workloads.regression import mae, mse
from thalweg.workloads.source import Source
from thalweg.workloads.workload import Workload

MEANS = (mse, mae)
"""Metrics that are means over samples; accuracy and its like are some if no label is ignored, a loss if it is one."""

LABELLED = (F.cross_entropy, F.nll_loss, nn.CrossEntropyLoss, nn.NLLLoss)
LOSSES = (
    *LABELLED, F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits, nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss,
    nn.BCEWithLogitsLoss,
)  # fmt: skip
"""torch's losses, functions and classes, that are means over samples by default."""


def piecewise(workload: Workload) -> Callable[[Tensor], bool] | None:
    """A predicate of targets: whether loss and metric are means over their samples; `None` if they never are.

    Ignored labels and class weights give the mean of a chunk another weight than its number of samples.
    """
    objective = workload.objective
    if objective.layout.targets:
        return None
    loss: Any = workload.loss
    kind, metric = type(loss) if isinstance(loss, nn.Module) else loss, _mean_of(workload.metric.function)
    mean = isinstance(metric, Accuracy | TopK | OwnLoss) or any(metric is of for of in MEANS)
    if workload.step is not None:  # each sample has its batch's loss
        return (lambda targets: True) if mean or workload.metric.function is own_loss else None
    known = mean and any(kind is of for of in LOSSES)
    if not known or getattr(loss, "weight", None) is not None or getattr(loss, "reduction", "mean") != "mean":
        return None
    ignored = {ignored_label(loss)} if any(kind is of for of in LABELLED) else set()
    reading = reading_of(metric)
    ignored |= {reading.ignored} if reading is not None and not reading.is_binary else set()
    return lambda targets: targets.is_floating_point() or not any(_has(targets, label) for label in ignored)


def _mean_of(function: Any) -> Any:
    """The mean over samples that a metric is a function of; the metric's own function if that is none."""
    return function.mean if isinstance(function, OfMean) else function


def divides(able: Callable[[Tensor], bool] | None, source: Source) -> bool:
    """Whether loss and metric are means over the samples of a split. able: of `piecewise`."""
    return able is not None and all(able(targets) for targets in source.labels())


def _has(targets: Tensor, label: int | None) -> bool:
    return label is not None and bool((targets.long() == label).any())


class Sums:
    """Accumulates metrics, and losses if `loss`, of some members over chunks of a split."""

    def __init__(self, workload: Workload, members: int, *, loss: bool) -> None:
        self._objective, self._members, self._loss = workload.objective, members, loss
        self._after: Callable[[Tensor], Tensor] | None = None
        function = workload.metric.function
        if isinstance(function, OfMean):
            self._after = function.after
            self._objective = replace(self._objective, metric=replace(workload.metric, function=function.mean))
        self._samples, self._sums = 0, [[0.0] * members, [0.0] * members]

    def add(self, evaluated: tuple[Any, Tensor | None], targets: Tensor) -> None:
        """Adds a chunk: outputs `[members, samples, …]`, and losses `[members]` where they are known already."""
        outputs, losses = evaluated
        unknown = self._loss and losses is None
        values = measured(self._objective, outputs, targets, self._members, loss=unknown)
        if self._loss and losses is not None:
            values = values[0], losses.tolist()
        self._samples += len(targets)
        for sums, more in zip(self._sums, values, strict=True):
            sums[: len(more)] = [a + len(targets) * b for a, b in zip(sums, more, strict=False)]

    @property
    def metrics(self) -> list[float]:
        means = [x / self._samples for x in self._sums[0]]
        return means if self._after is None else self._after(torch.tensor(means, dtype=torch.float64)).tolist()

    @property
    def losses(self) -> list[float]:
        return [x / self._samples for x in self._sums[1]] if self._loss else []


def measured(
    objective: Objective, outputs: Any, targets: Tensor, members: int, *, loss: bool
) -> tuple[list[float], list[float]]:
    """Returns (metrics, losses if `loss`) of outputs `[members, samples, …]`."""
    targets = targets.clone()  # the user's code may modify its arguments in place
    losses: list[float] = []  # before the metric, for the same reason
    if loss and members == 1:
        losses = [float(objective.loss_of(_member(outputs, 0), targets))]
    elif loss:
        losses = vmap(objective.loss_of, in_dims=(0, None))(outputs, targets).tolist()
    return _metrics(objective, outputs, targets, members), losses


def _metrics(objective: Objective, outputs: Any, targets: Tensor, members: int) -> list[float]:
    metric = objective.metric
    if not metric.vectorized or members == 1 or not objective.is_plain:
        return [objective.metric_of(_member(outputs, m), targets) for m in range(members)]
    values = vmap(metric.fresh(), in_dims=(0, None))(outputs, targets)
    if values.ndim != 1:
        raise ReturnValueError(
            f"The metric {metric.name!r} must return a number, got a tensor of shape {list(values.shape[1:])}."
        )
    return values.tolist()  # type: ignore[no-any-return]


def _member(outputs: Any, m: int) -> Any:
    return tree_map(lambda o: o[m] if isinstance(o, Tensor) else o, outputs)
