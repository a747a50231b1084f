"""Clipping of gradients."""

from thalweg.numerics import Value, minimum


def norm_factor(norm: Value, limit: Value) -> Value:
    """What all gradients are multiplied by so that their common norm is at most `limit`.

    The 1e-6 is `torch.nn.utils.clip_grad_norm_`'s. Pascanu et al. 2013, arXiv:1211.5063.
    """
    return minimum(limit / (norm + 1e-6), 1.0)
