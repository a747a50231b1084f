"""Clipping of gradients. Norms and factors are one value a tensor; adaptive clipping takes whole tensors."""

from typing import Any

from thalweg.numerics import Value, clip, maximum, minimum
from thalweg.regularization.units import norm

SMALLEST = 1e-3
"""The norm that a unit's parameters have at least when adaptive clipping compares: zeros could never be trained."""


NOTHING = 1e-30
"""The norm that a gradient has at least when it is divided by: that of zeros stays one that autograd can follow."""


def by_value(gradient: Value, limit: Value) -> Value:
    """Every element of the gradient limited to [-limit, limit]."""
    return clip(gradient, -limit, limit)


def norm_factor(norm: Value, limit: Value) -> Value:
    """What all gradients are multiplied by so that their common norm is at most `limit`.

    The 1e-6 is `torch.nn.utils.clip_grad_norm_`'s. Pascanu et al. 2013, arXiv:1211.5063.
    """
    return minimum(limit / (norm + 1e-6), 1.0)


def adaptive(gradients: Any, parameters: Any, limit: Any) -> Any:
    """Each unit's gradient scaled down to at most `limit` times its parameters' norm, in tensors `[rows, …]`.

    Brock et al. 2021, arXiv:2102.06171, equation 3. They leave the last layer out: give it a param group without.
    """
    allowed = limit * maximum(norm(parameters), SMALLEST)
    return gradients * minimum(allowed / maximum(norm(gradients), NOTHING), 1.0)
