"""Units of stacked tensors `[rows, units, …]`: what one output is computed by. A vector `[rows, n]` is one unit.

These take tensors only: a mean or norm is of more than one element.
"""

from typing import Any


def norm(x: Any) -> Any:
    """The norm of each unit, of a shape that broadcasts with x. That of a single number is its size."""
    import torch  # here: optimizers can be named without it

    if x.ndim == 1:
        return x.abs()
    return torch.linalg.vector_norm(x, dim=tuple(range(min(2, x.ndim - 1), x.ndim)), keepdim=True)


def centralized(gradients: Any) -> Any:
    """Every unit's gradient less its mean; vectors stay as they are (Yong et al. 2020, arXiv:2004.01461)."""
    if gradients.ndim < 3:
        return gradients
    return gradients - gradients.mean(dim=tuple(range(2, gradients.ndim)), keepdim=True)
