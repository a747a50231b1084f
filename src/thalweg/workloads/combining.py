"""One answer from the outputs of several models, as the workload's loss and metric read it."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.workloads import losses

Average = Literal["probabilities", "logits"]
AVERAGES: tuple[Average, ...] = ("probabilities", "logits")


def combined(outputs: Tensor, loss: Callable[..., Any], average: Average) -> Tensor:
    """The mean of models' outputs `[models, samples, …]`, as outputs `[samples, …]` in float64.

    Under cross entropy and binary cross entropy, the mean of probabilities or of logits, written as logits, or as log
    probabilities or probabilities where the loss takes those; under any other loss, the mean of the outputs.
    """
    outputs = outputs.double()
    if losses.is_over_classes(loss):
        return _of_classes(outputs, loss, average)
    threshold = losses.threshold(loss)
    if threshold is None:
        return outputs.mean(0)
    logits = outputs if threshold == 0.0 else torch.logit(outputs)
    mean = logits.mean(0) if average == "logits" else _logit_of_mean(logits)
    return mean if threshold == 0.0 else torch.sigmoid(mean)


def probabilities(outputs: Tensor, loss: Callable[..., Any]) -> Tensor:
    """Combined outputs as probabilities, where the loss is over classes or binary; other outputs as they are."""
    if losses.is_over_classes(loss):
        return outputs.softmax(_dimension(outputs))
    return torch.sigmoid(outputs) if losses.threshold(loss) == 0.0 else outputs


def has_probabilities(loss: Callable[..., Any]) -> bool:
    """Whether outputs under a loss are scores of classes, so that probabilities can be averaged."""
    return losses.is_over_classes(loss) or losses.threshold(loss) is not None


def _of_classes(outputs: Tensor, loss: Callable[..., Any], average: Average) -> Tensor:
    classes = _dimension(outputs[0])
    if average == "logits":
        mean = outputs.mean(0)
        is_nll = losses.function_of(loss) is F.nll_loss or isinstance(loss, nn.NLLLoss)
        return mean.log_softmax(classes) if is_nll else mean
    return mean_log_probabilities(outputs, classes)


def mean_log_probabilities(outputs: Tensor, classes: int) -> Tensor:
    """The logarithm of the mean over models of softmax(outputs). classes: their dimension in one model's outputs."""
    return torch.logsumexp(outputs.log_softmax(classes + 1), 0) - math.log(len(outputs))


def _logit_of_mean(logits: Tensor) -> Tensor:
    """log(mean p) - log(mean(1 - p)), which no rounding of p to 1 spoils."""
    return torch.logsumexp(F.logsigmoid(logits), 0) - torch.logsumexp(F.logsigmoid(-logits), 0)


def _dimension(outputs: Tensor) -> int:
    return 1 if outputs.ndim > 1 else 0
