"""A workload's own loss as its metric, and functions of it: perplexity, bits per character."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError, shown
from thalweg.workloads import losses
from thalweg.workloads.metrics import Metric, OfMean

USUAL = {"ignore_index": losses.IGNORED, "weight": None, "reduction": "mean", "label_smoothing": 0.0,
         "size_average": None, "reduce": None}  # fmt: skip
"""Arguments of torch's cross entropy and NLL, with their defaults: others than these give no mean likelihood."""


@dataclass(frozen=True)
class OwnLoss:
    """The workload's loss over a whole split, in float64. loss: the workload's; `None` until it is bound."""

    loss: Callable[..., Any] | None = None

    def __call__(self, outputs: Any, targets: Tensor) -> Tensor:
        if self.loss is None:
            raise InputError("A metric of the loss needs one: give it by name, thalweg.Workload(…, metric='loss').")
        loss: Tensor = self.loss(outputs, targets)
        return loss.double().reshape(())


def bits(loss: Tensor) -> Tensor:
    """Nats as bits."""
    return loss / math.log(2)


def under(metric: Metric, loss: Callable[..., Any]) -> Metric:
    """A metric of this file with a workload's loss.

    Raises:
        InputError: perplexity, or bits, of a loss that is not the mean negative log-likelihood of classes.
    """
    function = OwnLoss(loss)
    if not isinstance(metric.function, OfMean):
        return Metric(function, metric.name, metric.higher_is_better, metric.vectorized)
    _require_likelihood(metric.name, loss)
    return Metric(OfMean(function, metric.function.after), metric.name, metric.higher_is_better, metric.vectorized)


def is_of_loss(function: Any) -> bool:
    """Whether a metric's function is one of this file."""
    return isinstance(function.mean if isinstance(function, OfMean) else function, OwnLoss)


def _require_likelihood(name: str, loss: Any) -> None:
    advice = (
        "give metric='loss', or thalweg.Metric(lambda outputs, targets: torch.nn.functional.cross_entropy(outputs,"
        " targets).exp(), higher_is_better=False)."
    )
    if not (losses.is_over_classes(loss) and losses.is_torchs(loss)):
        raise InputError(
            f"{name} is of a loss that is torch's cross entropy or negative log-likelihood, functional or as a module,"
            f" got {_named(loss)}: {advice}"
        )
    bound = loss.keywords if isinstance(loss, functools.partial) else {}
    for argument, default in USUAL.items():
        value = bound.get(argument, getattr(losses.function_of(loss), argument, default))
        if argument != "ignore_index" and not (value is default or (default is not None and value == default)):
            raise InputError(
                f"{name} is of the plain mean of the log-likelihood, and the loss has {argument}={shown(value)}:"
                f" {advice}"
            )


def _named(loss: Any) -> str:
    inner = losses.function_of(loss)
    return shown(getattr(inner, "__name__", type(inner).__name__))


METRICS = (
    Metric("loss", OwnLoss(), False, vectorized=True),
    Metric("perplexity", OfMean(OwnLoss(), torch.exp), False, vectorized=True),
    Metric("bits_per_character", OfMean(OwnLoss(), bits), False, vectorized=True),
)
