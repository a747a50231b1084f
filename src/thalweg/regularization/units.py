"""Norms and means over the units of stacked tensors `[rows, units, …]`: a unit is the weights of one output.

A vector `[rows, n]` is one unit. The weights of a transposed convolution are `[in, out, …]`: their units here are its
inputs, since a tensor does not say of which layer it is; `optim.constrain_norms` knows the layers, and takes the
outputs. Tensors only: a mean or norm reduces over several elements.
"""

from typing import Any


def norm(x: Any) -> Any:
    """The norm of each unit, in a shape that broadcasts with x; of scalars `[rows]`, the absolute value."""
    import torch  # lazy: listing optimizers must not need torch

    if x.ndim == 1:
        return x.abs()
    return torch.linalg.vector_norm(x, dim=tuple(range(min(2, x.ndim - 1), x.ndim)), keepdim=True)


def centralized(gradients: Any) -> Any:
    """Every unit's gradient less its mean; vectors stay as they are (Yong et al. 2020, arXiv:2004.01461)."""
    if gradients.ndim < 3:
        return gradients
    return gradients - gradients.mean(dim=tuple(range(2, gradients.ndim)), keepdim=True)
