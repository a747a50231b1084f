"""Clipping of gradients."""

from thalweg.numerics import Value, clip, minimum


def by_value(gradient: Value, limit: Value) -> Value:
    """Every element of the gradient limited to [-limit, limit]."""
    return clip(gradient, -limit, limit)


def norm_factor(norm: Value, limit: Value) -> Value:
    """What all gradients are multiplied by so that their common norm is at most `limit`.

    The 1e-6 is `torch.nn.utils.clip_grad_norm_`'s. Pascanu et al. 2013, arXiv:1211.5063.
    """
    return minimum(limit / (norm + 1e-6), 1.0)
