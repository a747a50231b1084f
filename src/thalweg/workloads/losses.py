"""What is known of a loss that is torch's: its direction, the label that it passes over, how its outputs are read."""

import functools
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import nn

IGNORED = -100  # the label that torch's losses pass over unless told another
CLASSES = (F.cross_entropy, F.nll_loss)
CLASS_MODULES = (nn.CrossEntropyLoss, nn.NLLLoss)
BINARY: tuple[tuple[Any, type[nn.Module], float], ...] = (
    (F.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss, 0.0),
    (F.binary_cross_entropy, nn.BCELoss, 0.5),
)
"""Function, module, and the output above which the answer is yes: a logit's or a probability's."""

LOSSES = tuple(
    getattr(F, name)
    for name in sorted(vars(F))
    if (name.endswith(("_loss", "cross_entropy", "_with_logits")) or name == "kl_div") and not name.startswith("_")
)
"""torch's losses among the functions: the lower, the better. `cosine_similarity` and the distances are none."""


def function_of(loss: Any) -> Any:
    """The function in a `functools.partial`."""
    while isinstance(loss, functools.partial):
        loss = loss.func
    return loss


def is_torchs(function: Any) -> bool:
    """Whether it is one of torch's losses, or a module that computes one as torch does."""
    function = function_of(function)
    if isinstance(function, nn.Module):
        return type(function).forward.__module__ == "torch.nn.modules.loss"
    return any(function is loss for loss in LOSSES)


def is_over_classes(loss: Any) -> bool:
    """Whether its outputs are scores of classes along the second dimension, and its targets may be their numbers."""
    return function_of(loss) in CLASSES or isinstance(loss, CLASS_MODULES)


def ignored_label(loss: Callable[..., Any]) -> int | None:
    """The label that it passes over: its `ignore_index`, an attribute or a bound argument, or torch's; else `None`."""
    bound = loss.keywords if isinstance(loss, functools.partial) else {}
    named = bound.get("ignore_index", getattr(loss, "ignore_index", None))
    if isinstance(named, int):
        return named
    return IGNORED if is_over_classes(loss) else None


def threshold(loss: Any) -> float | None:
    """Of a loss of one output for two classes, the output above which it stands for the second; else `None`."""
    function = function_of(loss)
    return next((above for f, module, above in BINARY if function is f or isinstance(loss, module)), None)
