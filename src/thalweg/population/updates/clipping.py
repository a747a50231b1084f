"""Norms of every member's gradients, and clipping by the global norm."""

from collections.abc import Mapping

import torch
from torch import Tensor

from thalweg.population.program.gradients import whole
from thalweg.population.program.matmul_passes import Product
from thalweg.regularization.clipping import norm_factor


def norms(gradients: Mapping[str, Tensor]) -> Tensor:
    """The norm of each parameter's gradient `[members, …]`, member by member: `[parameters, members]`."""
    return torch.stack([torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1) for g in gradients.values()])


def within(
    gradients: Mapping[str, Tensor | Product], limit: float | None, parameters: Mapping[str, Tensor]
) -> Mapping[str, Tensor | Product]:
    """`clipped` with all gradients materialized; unchanged if `limit` is `None`."""
    return gradients if limit is None else clipped(whole(gradients, parameters), limit)


def clipped(gradients: Mapping[str, Tensor], limit: float) -> dict[str, Tensor]:
    """Gradients `[members, …]`, each member's scaled to a norm over all parameters of at most `limit`."""
    factor = norm_factor(torch.linalg.vector_norm(norms(gradients), dim=0), limit)
    return {name: g * factor.view(-1, *[1] * (g.ndim - 1)) for name, g in gradients.items()}
