"""Metrics of classes that read outputs and targets as accuracy does: top-K accuracy, F1 and AUROC."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError, ReturnValueError
from thalweg.workloads.accuracy import Accuracy, binary_scores, class_scores, counted_scores
from thalweg.workloads.metrics import Metric
from thalweg.workloads.sklearn_metrics import SklearnMetric


@dataclass(frozen=True)
class TopK:
    """Share of targets among the `k` largest outputs, of those that count; equal outputs rank by class, lowest first.

    As accuracy, it is right where the target is ahead of a tie: scikit-learn ranks the highest class first. A target
    whose output is NaN is missed.

    Raises `InputError` if there are not more than `k` classes, and every answer would be right.
    """

    k: int
    reading: Accuracy = field(default_factory=Accuracy)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        name = f"top{self.k}"
        if self.reading.is_binary:
            raise InputError(f"{name} is of several classes, and the loss is of two: give metric='accuracy'.")
        scores, labels = class_scores(self.reading, name, outputs, targets)
        classes = scores.shape[1]
        if self.k >= classes:
            rest = f"a K from 2 to {classes - 1}, or " if classes > 2 else ""
            raise InputError(
                f"{name} is of more than {self.k} classes, got outputs of {classes}, among which every target is: give"
                f" {rest}metric='accuracy'."
            )
        own = scores.gather(1, labels.clamp(0, classes - 1)[:, None])
        earlier = torch.arange(classes, device=labels.device) < labels[:, None]
        ahead = ~(scores <= own) | ((scores == own) & earlier)  # not `>`: nothing is greater than NaN
        right = (ahead.sum(1) < self.k) & (labels >= 0) & (labels < classes)
        ignored = self.reading.ignored
        counted = torch.ones_like(right) if ignored is None else labels != ignored
        return (right & counted).double().sum() / counted.double().sum()


@dataclass(frozen=True)
class F1:
    """Harmonic mean of precision and recall, of the labels that count.

    Of one output for two classes, that of class 1, by the loss's threshold; 0 where class 1 is neither among the
    targets nor among the answers. Of several outputs, two included, the mean over the classes that occur in either:
    `f1_score(…, average="macro")`.
    """

    reading: Accuracy = field(default_factory=Accuracy)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.reading.threshold is not None:
            scores, truth = binary_scores("f1", outputs, targets)
            answers = scores > self.reading.threshold
            return 2 * (answers & truth).double().sum() / (answers.double().sum() + truth.double().sum()).clamp(min=1)
        scores, labels = counted_scores(self.reading, "f1", outputs, targets)
        answers, classes = scores.argmax(1), scores.shape[1]
        right = labels[answers == labels].bincount(minlength=classes).double()
        named = (labels.bincount(minlength=classes) + answers.bincount(minlength=classes)).double()
        return (2 * right / named)[named > 0].mean()


@dataclass(frozen=True)
class Auroc:
    """Area under the ROC curve: the chance that a sample of a class scores above one of another, a tie counting half.

    Of one output, or of two, that of class 1. Of several classes each against all others, by its probability (the
    softmax of the outputs), and the mean over the classes that occur among the targets. NaN if an output is NaN.

    Raises `ReturnValueError` if the targets that count are of one class.
    """

    reading: Accuracy = field(default_factory=Accuracy)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.require_targets("the split", targets)
        if self.reading.is_binary:
            return _area(*binary_scores("auroc", outputs, targets))
        scores, labels = counted_scores(self.reading, "auroc", outputs.double(), targets)
        if scores.shape[1] == 2:  # monotone in the probability, without its rounding near 1
            return _area(scores[:, 1] - scores[:, 0], labels == 1)
        shares = _log_shares(scores)
        return torch.stack([_area(shares[:, c], labels == c) for c in torch.unique(labels).tolist()]).mean()

    def require_targets(self, split: str, targets: Tensor) -> None:
        """Raises `ReturnValueError` if a split's targets are of one class. split: its name, for the message."""
        labels = self.reading.counted(targets)
        if len(labels) and bool((labels == labels[0]).all()):
            raise ReturnValueError(
                f"{split} holds one class only, {labels[0].item():g}, and auroc compares samples of two: give it"
                " samples of both, or another metric, such as 'accuracy'."
            )


def _log_shares(scores: Tensor) -> Tensor:
    """Log-softmax of scores `[places, classes]`, bitwise equal for rows that are equal but for order and a constant.

    Rounding would break their ties otherwise, by the order of the sum.
    """
    scores = scores - scores.amax(1, keepdim=True)
    return scores - scores.sort(1).values.logsumexp(1, keepdim=True)


def _area(scores: Tensor, positive: Tensor) -> Tensor:
    """AUROC of scores `[samples]` by counting pairs, of which those of equal scores count half."""
    if bool(scores.isnan().any()):
        return scores.new_full((), torch.nan, dtype=torch.float64)
    values, place = torch.unique(scores, return_inverse=True)  # ascending
    positives, negatives = (place[of].bincount(minlength=len(values)).double() for of in (positive, ~positive))
    below = negatives.cumsum(0) - negatives
    area: Tensor = (positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum())
    return area


def reading_of(function: Any) -> Accuracy | None:
    """How a metric's function reads answers off outputs; `None` if it reads none, or is the user's."""
    if isinstance(function, SklearnMetric):
        return function.reading if function.reads_classes else None
    if isinstance(function, TopK | F1 | Auroc):
        return function.reading
    return function if isinstance(function, Accuracy) else None


def under(metric: Metric, loss: Any) -> Metric:
    """A metric of this file, or scikit-learn's, that reads outputs as the loss does; any other as it is."""
    function = metric.function
    if isinstance(function, Accuracy):
        return Metric(Accuracy.under(loss), metric.name, metric.higher_is_better, metric.vectorized)
    if not isinstance(function, TopK | F1 | Auroc | SklearnMetric):
        return metric
    bound = replace(function, reading=Accuracy.under(loss))
    return Metric(bound, metric.name, metric.higher_is_better, metric.vectorized)


def top(name: str) -> Metric | None:
    """The metric of a name such as `"top5"`, of a K of at least 2; `None` for other names."""
    matched = re.fullmatch(r"top([1-9][0-9]{0,8})", name)
    k = int(matched[1]) if matched else 0
    return Metric(TopK(k), name, True, vectorized=True) if k > 1 else None


accuracy = Accuracy()
METRICS = (
    Metric("accuracy", accuracy, True, vectorized=True),
    Metric("f1", F1(), True),  # which classes occur, and how many scores are equal, is a matter of each member's values
    Metric("auroc", Auroc(), True),
)
