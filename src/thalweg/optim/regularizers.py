"""Regularizers in a loop of one's own, for any optimizer: a penalty for the loss, and what follows a step."""

from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.recipes.catalogue import Recipe, recipe
from thalweg.recipes.compose import constrain
from thalweg.recipes.options import BY_CONVENTION, PROXIMAL
from thalweg.regularization import penalties
from thalweg.workloads.regularized_groups import Only, chosen

_SWAPPED = nn.modules.conv._ConvTransposeNd  # weights [in, out, …]


def penalty(
    model: nn.Module, *, l1: float = 0.0, l2: float = 0.0, only: Only = "weight", convention: str = "torch"
) -> Tensor:
    """The regularization loss l1·Σ|p| + l2/2·Σp², to be added to the loss of the data: a differentiable 0-d tensor.

    Args:
        model: whose parameters are penalized.
        l1, l2: at least 0.
        only: which parameters, as `regularized` takes it.
        convention: `"keras"` for l2·Σp².

    Raises:
        InputError: a value is out of range, or `only` matches no parameter.
    """
    values = _values(convention, l1=l1, l2=l2)
    twice = 2.0 if values[BY_CONVENTION[0]] else 1.0
    named = dict(model.named_parameters())
    parts = [
        (penalties.l1_loss(p, values["l1"]) + penalties.l2_loss(p, twice * values["l2"])).sum()
        for p in (named[name] for name in chosen(model, only))
    ]
    return torch.stack(parts).sum()


@torch.no_grad()
def proximal_step(
    model: nn.Module, lr: float, *, proximal_l1: float = 0.0, proximal_l2: float = 0.0, only: Only = "weight"
) -> None:
    """The proximal step of L1 and L2 on the parameters in place, after `optimizer.step()`.

    Args:
        lr: the learning rate of that step, at least 0.
        proximal_l1, proximal_l2: at least 0; of L1, what is closer to 0 than lr·proximal_l1 is 0 afterwards.
        only: which parameters, as `regularized` takes it.

    Raises:
        InputError: a value is out of range, or `only` matches no parameter.
    """
    values = _values("torch", lr=lr, proximal_l1=proximal_l1, proximal_l2=proximal_l2)
    size1, size2 = (values["lr"] * values[name] for name in PROXIMAL)
    named = dict(model.named_parameters())
    for p in (named[name] for name in chosen(model, only)):
        p.copy_(penalties.shrunk(penalties.soft_threshold(p, size1), size2))


@torch.no_grad()
def constrain_norms(
    model: nn.Module,
    *,
    max_norm: float = 0.0,
    min_norm: float = 0.0,
    norm_rate: float = 1.0,
    unit_norm: bool = False,
    non_negative: bool = False,
    only: Only = "weight",
    convention: str = "torch",
) -> None:
    """Constrains the weights in place, after `optimizer.step()`; the options are those of Thalweg's optimizers.

    A unit is one output: of a transposed convolution, whose weights are `[in, out, …]`, along the second dimension.

    Args:
        max_norm, min_norm, norm_rate, unit_norm, non_negative: see `thalweg.optim.SGD`.
        only: which parameters, as `regularized` takes it.
        convention: `"keras"` for Keras's formulas.

    Raises:
        InputError: a value is out of range, `only` matches no parameter, or one that has no units: a bias.
    """
    norms = {"max_norm": max_norm, "min_norm": min_norm, "norm_rate": norm_rate}
    values = _values(convention, **norms, unit_norm=unit_norm, non_negative=non_negative)
    structure, named = recipe("sgd").structure(values), dict(model.named_parameters())
    swapped = {id(m.weight): m.groups for m in model.modules() if isinstance(m, _SWAPPED)}
    for name in chosen(model, only):
        p = named[name]
        if p.ndim < 2:
            raise InputError(f"{name!r} has no units whose weights a constraint could be of: leave it out of only.")
        if swapped.get(id(p), 1) > 1:
            raise InputError(f"{name!r} is of a transposed convolution in groups, whose units are not supported.")
        of_units = p.transpose(0, 1) if id(p) in swapped else p
        of_units.copy_(constrain(structure, of_units[None].clone(), values)[0])


def _values(convention: str, **options: Any) -> dict[str, Any]:
    """The options, checked as those of an optimizer."""
    of: Recipe = recipe("sgd").under(convention)
    return of.resolve(options, "The regularizer")
