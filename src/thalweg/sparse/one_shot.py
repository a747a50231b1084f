"""Pruning of a trained model at once: the smallest weights, those below a threshold, or random ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thalweg.options.ranges import Range
from thalweg.regularization import pruning
from thalweg.regularization.mask_updates import patterns
from thalweg.regularization.sparsity import SPARSITY

Masks = dict[str, Tensor]


def magnitude(model: nn.Module, sparsity: float, *, scope: str = "global", exclude: str | Sequence[str] = ()) -> Masks:
    """Sets the smallest weights of a model to zero, in place; returns the masks, bool, by name.

    Args:
        model: its parameters of two dimensions and more are pruned.
        sparsity: their share that is zero afterwards, in (0, 1); weights that are zero already count.
        scope, exclude: as `Pruner` takes them.

    Raises:
        InputError: a value is out of range, or a pattern matches nothing.
    """
    weights = _weights(model, sparsity, scope, exclude)
    return _applied(weights, pruning.masks_of(pruning.magnitudes(weights), sparsity, scope))


def random(
    model: nn.Module, sparsity: float, *, seed: int = 0, scope: str = "global", exclude: str | Sequence[str] = ()
) -> Masks:
    """Sets random weights of a model to zero, in place: the control of `magnitude`, with its arguments and errors.

    seed: of the choice. Weights that are zero already count.
    """
    weights = _weights(model, sparsity, scope, exclude)
    before = {name: p != 0 for name, p in weights.items()}
    return _applied(weights, pruning.masks_of(pruning.random_scores(weights, seed, before), sparsity, scope))


def threshold(model: nn.Module, limit: float, *, exclude: str | Sequence[str] = ()) -> Masks:
    """Sets the weights whose magnitude is below `limit` to zero, in place; returns the masks, bool, by name.

    Raises `InputError` where the limit is not a number above 0, or a pattern matches nothing.
    """
    limit = Range(0.0, open_low=True).check("limit", limit)
    named = dict(model.named_parameters())
    weights = {name: named[name] for name in pruning.prunable(named, patterns(exclude))}
    return _applied(weights, {name: p.detach().abs() >= limit for name, p in weights.items()})


def _weights(model: nn.Module, sparsity: float, scope: str, exclude: str | Sequence[str]) -> dict[str, nn.Parameter]:
    SPARSITY.check("sparsity", sparsity)
    named = dict(model.named_parameters())
    weights = {name: named[name] for name in pruning.prunable(named, patterns(exclude))}
    pruning.require_scope(scope, sparsity, weights)
    return weights


@torch.no_grad()
def _applied(weights: dict[str, nn.Parameter], masks: Masks) -> Masks:
    for name, p in weights.items():
        p.masked_fill_(~masks[name], 0)
    return masks
