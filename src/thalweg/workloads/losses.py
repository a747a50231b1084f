"""Properties of torch's losses: direction, ignored label, and how outputs are read."""

import functools
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import nn

IGNORED = -100  # torch's default `ignore_index`
CLASSES = (F.cross_entropy, F.nll_loss)
CLASS_MODULES = (nn.CrossEntropyLoss, nn.NLLLoss)
BINARY: tuple[tuple[Any, type[nn.Module], float], ...] = (
    (F.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss, 0.0),
    (F.binary_cross_entropy, nn.BCELoss, 0.5),
)
"""Function, module, and decision threshold: of a logit 0, of a probability 0.5."""

LOSSES = tuple(
    getattr(F, name)
    for name in sorted(vars(F))
    if (name.endswith(("_loss", "cross_entropy", "_with_logits")) or name == "kl_div") and not name.startswith("_")
)
"""torch's functional losses, of which lower is better; `cosine_similarity` and the distances are not among them."""


def function_of(loss: Any) -> Any:
    """Unwraps `functools.partial`."""
    while isinstance(loss, functools.partial):
        loss = loss.func
    return loss


def is_torchs(function: Any) -> bool:
    """Whether it is a loss function of torch, or a module with the `forward` of one of torch's loss modules."""
    function = function_of(function)
    if isinstance(function, nn.Module):
        return type(function).forward.__module__ == "torch.nn.modules.loss"
    return any(function is loss for loss in LOSSES)


def is_over_classes(loss: Any) -> bool:
    """Whether outputs are class scores along the second dimension, and targets may be class indices."""
    return function_of(loss) in CLASSES or isinstance(loss, CLASS_MODULES)


def ignored_label(loss: Callable[..., Any]) -> int | None:
    """The loss's `ignore_index`: a bound argument, an attribute, or torch's default; `None` if it has none."""
    bound = loss.keywords if isinstance(loss, functools.partial) else {}
    named = bound.get("ignore_index", getattr(loss, "ignore_index", None))
    if isinstance(named, int):
        return named
    return IGNORED if is_over_classes(loss) else None


def threshold(loss: Any) -> float | None:
    """The decision threshold on the output of a binary loss; `None` for any other loss."""
    function = function_of(loss)
    return next((above for f, module, above in BINARY if function is f or isinstance(loss, module)), None)
