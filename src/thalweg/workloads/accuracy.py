"""Accuracy that reads outputs and targets as the loss does."""

from dataclasses import dataclass

from torch import Tensor

from thalweg.errors import InputError
from thalweg.workloads import losses


@dataclass(frozen=True)
class Accuracy:
    """Share of right answers, of those that count.

    Of several outputs, `[samples, classes]` or `[samples, …, classes]`, the largest has to be the target's, `[samples]`
    or `[samples, …]`.

    second: whether classes lie along the second dimension, as torch's losses have them. ignored: a label whose places
    do not count. threshold: of one output for two classes, `[samples]` or `[samples, 1]`, the value above which the
    answer is 1; `None` where there are several outputs.
    """

    second: bool = False
    ignored: int | None = losses.IGNORED
    threshold: float | None = None

    @classmethod
    def under(cls, loss: object) -> "Accuracy":
        """As this loss reads outputs; a loss of one's own is taken to pass over torch's label, which is no class."""
        if not callable(loss):
            return cls()
        ignored = losses.ignored_label(loss)
        ignored = losses.IGNORED if ignored is None else ignored
        return cls(losses.is_over_classes(loss), ignored, losses.threshold(loss))

    @property
    def is_binary(self) -> bool:
        return self.threshold is not None

    def classes(self, outputs: Tensor) -> int:
        """How many classes the outputs are scores of."""
        return outputs.shape[self._dimension(outputs)]

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.threshold is not None:
            return self._of_one(outputs, targets, self.threshold)
        answers = outputs.argmax(self._dimension(outputs))
        require_one_shape("accuracy", answers, targets)
        right = answers == targets
        if self.ignored is None:
            return right.double().mean()
        counted = targets.long() != self.ignored  # in a byte, -100 is 156
        return (right & counted).double().sum() / counted.double().sum()

    def counted(self, targets: Tensor) -> Tensor:
        """The labels that count, in one dimension."""
        labels = targets.flatten()
        return labels if self.ignored is None or self.is_binary else labels[labels.long() != self.ignored]

    def _of_one(self, outputs: Tensor, targets: Tensor, threshold: float) -> Tensor:
        outputs = outputs.squeeze(-1) if outputs.shape == (*targets.shape, 1) else outputs
        require_one_shape("accuracy", outputs, targets)
        return ((outputs > threshold) == (targets > 0.5)).double().mean()

    def _dimension(self, outputs: Tensor) -> int:
        return 1 if self.second and outputs.ndim > 1 else outputs.ndim - 1


def class_scores(reading: Accuracy, metric: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (the outputs `[places, classes]`, the labels `[places]`), including those of labels that are ignored.

    Raises `InputError` if there are fewer than two outputs a place, or other places than targets. metric: its name.
    """
    if outputs.ndim < 2 or reading.classes(outputs) < 2:
        raise InputError(
            f"{metric} takes the scores of several classes, and the outputs are {list(outputs.shape)}: one logit for"
            " two classes is read under torch's binary cross entropy; of numbers that are no classes, give a metric"
            " such as 'mse'."
        )
    scores = outputs.movedim(reading._dimension(outputs), -1)
    require_one_shape(metric, scores[..., 0], targets)
    return scores.reshape(-1, scores.shape[-1]), targets.reshape(-1).long()


def counted_scores(reading: Accuracy, metric: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns `class_scores` of the labels that count. Raises `InputError`, too, if one of them is no class."""
    scores, labels = class_scores(reading, metric, outputs, targets)
    if reading.ignored is not None:
        counted = labels != reading.ignored
        scores, labels = scores[counted], labels[counted]
    outside = labels[(labels < 0) | (labels >= scores.shape[1])]
    if len(outside):
        raise InputError(
            f"{metric} takes labels from 0 to {scores.shape[1] - 1}, one for each output, got {int(outside[0])}: number"
            " the classes from 0, or name a label that does not count as the loss's ignore_index."
        )
    return scores, labels


def binary_scores(metric: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (the outputs, whether each target is 1), both `[places]`, of one output for two classes.

    Raises `InputError` if the shapes differ. metric: its name.
    """
    outputs = outputs.squeeze(-1) if outputs.shape == (*targets.shape, 1) else outputs
    require_one_shape(metric, outputs, targets)
    return outputs.reshape(-1), targets.reshape(-1) > 0.5


def require_one_shape(metric: str, outputs: Tensor, targets: Tensor) -> None:
    """Requires equal shapes: outputs `[samples, 1]` and targets `[samples]` would silently broadcast to all pairs."""
    if outputs.shape != targets.shape:
        raise InputError(
            f"{metric} compares outputs with targets one by one, got shapes {list(outputs.shape)} and"
            f" {list(targets.shape)}."
        )
