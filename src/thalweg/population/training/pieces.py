"""Loss and metric of outputs: all at once, or accumulated over chunks where both are means over samples."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

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
from thalweg.workloads.metrics import Metric, OfMean
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
    """A predicate of targets: whether loss and metrics are means over their samples; `None` if they never are.

    Ignored labels and class weights give the mean of a chunk another weight than its number of samples.
    """
    objective = workload.objective
    if objective.layout.targets:
        return None
    loss: Any = workload.loss
    metrics = [_mean_of(metric.function) for metric in (objective.metric, *objective.also)]
    means = all(isinstance(m, Accuracy | TopK | OwnLoss) or any(m is of for of in (own_loss, *MEANS)) for m in metrics)
    if workload.step is not None:  # each sample has its batch's loss
        return (lambda targets: True) if means else None
    kind = type(loss) if isinstance(loss, nn.Module) else loss
    known = means and any(kind is of for of in LOSSES)
    if not known or getattr(loss, "weight", None) is not None or getattr(loss, "reduction", "mean") != "mean":
        return None
    ignored = {ignored_label(loss)} if any(kind is of for of in LABELLED) else set()
    readings = [reading for metric in metrics if (reading := reading_of(metric)) is not None]
    ignored |= {reading.ignored for reading in readings if not reading.is_binary}
    return lambda targets: targets.is_floating_point() or not any(_has(targets, label) for label in ignored)


def _mean_of(function: Any) -> Any:
    """The mean over samples that a metric is a function of; the metric's own function if that is none."""
    return function.mean if isinstance(function, OfMean) else function


def divides(able: Callable[[Tensor], bool] | None, source: Source) -> bool:
    """Whether loss and metric are means over the samples of a split. able: of `piecewise`."""
    return able is not None and all(able(targets) for targets in source.labels())


def _has(targets: Tensor, label: int | None) -> bool:
    return label is not None and bool((targets.long() == label).any())


class Scores(NamedTuple):
    """Values of some members over a split, one per member.

    metrics: those that decide. losses: empty where they were not asked for. details: further metrics and parts of the
    loss, by their names.
    """

    metrics: list[float]
    losses: list[float]
    details: dict[str, list[float]]

    def and_of(self, others: "Scores") -> "Scores":
        """Those of these members and of others."""
        details = {name: [*values, *others.details[name]] for name, values in self.details.items()}
        return Scores([*self.metrics, *others.metrics], [*self.losses, *others.losses], details)

    def of(self, member: int) -> dict[str, float]:
        """The details of one member."""
        return {name: values[member] for name, values in self.details.items()}


class Sums:
    """Accumulates scores of some members over chunks of a split, with losses if `loss`."""

    def __init__(self, workload: Workload, members: int, *, loss: bool) -> None:
        self._given, self._members, self._loss = workload.objective, members, loss
        metric, *also = (_averaged(metric) for metric in (self._given.metric, *self._given.also))
        self._objective = replace(self._given, metric=metric, also=tuple(also))
        self._samples, self._sums = 0, Scores([], [], {})

    def add(self, evaluated: tuple[Any, Tensor | None], targets: Tensor) -> None:
        """Adds a chunk: outputs `[members, samples, …]`, and losses `[members]` where they are known already."""
        outputs, losses = evaluated
        found = measured(self._objective, outputs, targets, self._members, loss=self._loss and losses is None)
        if self._loss and losses is not None:
            found = found._replace(losses=losses.tolist())
        samples = len(targets)
        before = self._sums if self._samples else _mapped(found, lambda _, values: [0.0] * len(values))
        self._sums = Scores(
            _added(before.metrics, found.metrics, samples),
            _added(before.losses, found.losses, samples),
            {name: _added(before.details[name], values, samples) for name, values in found.details.items()},
        )
        self._samples += samples

    @property
    def scores(self) -> Scores:
        means = _mapped(self._sums, lambda _, values: [x / self._samples for x in values])
        after = {m.name: m.function.after for m in self._given.also if isinstance(m.function, OfMean)}
        details = {name: _after(after.get(name), values) for name, values in means.details.items()}
        own = self._given.metric.function
        return Scores(_after(own.after if isinstance(own, OfMean) else None, means.metrics), means.losses, details)


def _averaged(metric: Metric) -> Metric:
    """The metric, or the mean over samples that it is a function of."""
    return replace(metric, function=metric.function.mean) if isinstance(metric.function, OfMean) else metric


def _added(sums: list[float], values: list[float], samples: int) -> list[float]:
    return [a + samples * b for a, b in zip(sums, values, strict=True)]


def _after(function: Callable[[Tensor], Tensor] | None, means: list[float]) -> list[float]:
    return means if function is None else function(torch.tensor(means, dtype=torch.float64)).tolist()


def _mapped(scores: Scores, function: Callable[[str, list[float]], list[float]]) -> Scores:
    metrics, losses, details = scores
    return Scores(function("", metrics), function("", losses), {n: function(n, v) for n, v in details.items()})


def measured(objective: Objective, outputs: Any, targets: Tensor, members: int, *, loss: bool) -> Scores:
    """The scores of outputs `[members, samples, …]`, with losses if `loss`."""
    targets = targets.clone()  # the user's code may modify its arguments in place
    losses: list[float] = []  # before the metric, for the same reason
    if loss and members == 1:
        losses = [float(objective.loss_of(_member(outputs, 0), targets))]
    elif loss:
        losses = vmap(objective.loss_of, in_dims=(0, None))(outputs, targets).tolist()
    parts = objective.parts_of(outputs)
    details = {name: of.double().mean(1).tolist() for name, of in parts.items()}
    metrics = _metrics(objective, objective.metric, outputs, targets, members)
    for metric in objective.also:
        if metric.name in parts:
            raise ReturnValueError(f"A metric and a loss of the step are both named {metric.name!r}: rename one.")
        details[metric.name] = _metrics(objective, metric, outputs, targets, members)
    return Scores(metrics, losses, details)


def _metrics(objective: Objective, metric: Metric, outputs: Any, targets: Tensor, members: int) -> list[float]:
    if not metric.vectorized or members == 1 or not objective.is_plain:
        return [objective.value_of(metric, _member(outputs, m), targets) for m in range(members)]
    values = vmap(metric.fresh(), in_dims=(0, None))(outputs, targets)
    if values.ndim != 1:
        raise ReturnValueError(
            f"The metric {metric.name!r} must return a number, got a tensor of shape {list(values.shape[1:])}."
        )
    return values.tolist()  # type: ignore[no-any-return]


def _member(outputs: Any, m: int) -> Any:
    return tree_map(lambda o: o[m] if isinstance(o, Tensor) else o, outputs)
