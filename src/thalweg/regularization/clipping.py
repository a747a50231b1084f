"""Gradient clipping. Norms and factors are one value per tensor; adaptive clipping takes whole tensors."""

from collections.abc import Mapping
from typing import Any

from thalweg.numerics import Value, clip, maximum, minimum
from thalweg.regularization.units import norm

SMALLEST = 1e-3
"""Lower bound of a unit's parameter norm in adaptive clipping: parameters at zero could never be trained otherwise."""


LEAST_DIVISOR = 1e-30
"""Lower bound of a gradient norm used as divisor: a zero gradient stays differentiable by autograd."""


def by_value(gradient: Value, limit: Value) -> Value:
    """Every element of the gradient limited to [-limit, limit]."""
    return clip(gradient, -limit, limit)


def norm_factor(norm: Value, limit: Value) -> Value:
    """The factor that scales gradients of joint norm `norm` down to at most `limit`.

    The 1e-6 is `torch.nn.utils.clip_grad_norm_`'s. Pascanu et al. 2013, arXiv:1211.5063.
    """
    return minimum(limit / (norm + 1e-6), 1.0)


def by_global_norm(gradients: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """All tensors scaled down to a joint norm of at most `limit`: for an optimizer whose step is not composed here."""
    import torch  # lazy: listing optimizers must not need torch

    norms = [torch.linalg.vector_norm(g) for g in gradients.values()]
    factor = norm_factor(torch.linalg.vector_norm(torch.stack(norms)), limit) if norms else 1.0
    return {name: factor * g for name, g in gradients.items()}


def adaptive(gradients: Any, parameters: Any, limit: Any) -> Any:
    """Each unit's gradient scaled down to at most `limit` times its parameters' norm, in tensors `[rows, …]`.

    Brock et al. 2021, arXiv:2102.06171, equation 3. They exclude the last layer: do so by a param group of its own.
    """
    allowed = limit * maximum(norm(parameters), SMALLEST)
    return gradients * minimum(allowed / maximum(norm(gradients), LEAST_DIVISOR), 1.0)
