"""Clipping of every member's gradients by their common norm."""

from collections.abc import Mapping

import torch
from torch import Tensor

from thalweg.regularization.clipping import norm_factor


def clipped(gradients: Mapping[str, Tensor], limit: float) -> dict[str, Tensor]:
    """Gradients `[members, …]` whose norm over all parameters is at most `limit`, member by member."""
    norms = torch.stack([torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1) for g in gradients.values()])
    factor = norm_factor(torch.linalg.vector_norm(norms, dim=0), limit)
    return {name: g * factor.view(-1, *[1] * (g.ndim - 1)) for name, g in gradients.items()}
