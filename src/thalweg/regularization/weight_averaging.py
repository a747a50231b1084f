"""Averages of the weights of several models: the mean (SWA, soups), greedy soups, and batch norm's statistics anew."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import InputError, shown

Weights = Mapping[str, Tensor]
"""Parameters and buffers by name, as `state_dict` returns them."""


def mean(states: Sequence[Weights]) -> dict[str, Tensor]:
    """The mean of several models' weights, in their dtype; whole numbers, such as counters, are the last model's.

    Izmailov et al. 2018, arXiv:1803.05407 (SWA). Models of one start of training have such a mean; of several random
    starts, it is worth nothing. Batch norm's statistics are of no model then: see `recompute_statistics`.

    Raises `InputError` where there are none, or names or shapes differ.
    """
    if not states:
        raise InputError("An average of weights needs at least one model's.")
    first, *others = states
    for other in others:
        odd = next((n for n in (*first, *other) if n not in other or n not in first), None)
        odd = odd or next((n for n in first if first[n].shape != other[n].shape), None)
        if odd is not None:
            raise InputError(f"The weights are of different models: {shown(odd)} is not in all of them in one shape.")
    return {name: _mean([state[name] for state in states]) for name in first}


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    if not (tensors[0].is_floating_point() or tensors[0].is_complex()):
        return tensors[-1].clone()
    total = torch.stack([t.detach() for t in tensors]).to(torch.promote_types(tensors[0].dtype, torch.float64)).mean(0)
    return total.to(tensors[0].dtype)


def greedy_soup(
    states: Sequence[Weights], score: Callable[[dict[str, Tensor]], float], *, higher_is_better: bool = True
) -> tuple[dict[str, Tensor], list[int]]:
    """(the soup's weights, the indices of its ingredients). Wortsman et al. 2022, arXiv:2203.05482.

    From the best model on, in the order of their scores, each is added where the mean with it scores no worse. Score on
    validation data: the choice fits what it is scored on.
    """
    sign = 1.0 if higher_is_better else -1.0
    alone = [sign * score(dict(state)) for state in states]
    order = sorted(range(len(states)), key=lambda i: -alone[i])
    chosen, best, soup = [order[0]], alone[order[0]], mean([states[order[0]]])
    for i in order[1:]:
        tried = mean([states[j] for j in (*chosen, i)])
        found = sign * score(tried)
        if found >= best:
            chosen, best, soup = [*chosen, i], found, tried
    return soup, chosen


@torch.no_grad()
def recompute_statistics(model: nn.Module, batches: Iterable[Any], call: Callable[[nn.Module, Any], Any]) -> nn.Module:
    """Sets running means and variances of batch norm to those over some batches of training data, in place.

    call: `call(model, batch)` runs the model forward. Statistics are plain means over the batches, whatever the layers'
    momentum; a model without batch norm is left as it is. Returns the model in the mode that it had.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    if not norms:
        return model
    before, momenta = model.training, [norm.momentum for norm in norms]
    try:
        model.eval()  # dropout is off: only batch norm sees batches
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a cumulative mean
            norm.train()
        for batch in batches:
            call(model, batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(before)
    return model
