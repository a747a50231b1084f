"""SAM: the gradients where the loss is worst nearby."""

from typing import TYPE_CHECKING

from thalweg.rules.model_contract import Evaluate, Tensors, along, model_rule, norm_of_all

if TYPE_CHECKING:
    from torch import Tensor

FLOOR = 1e-12  # of the norm that is divided by


@model_rule(
    paper="Foret et al. 2020, arXiv:2010.01412",
    meaning="radius of SAM: gradients are taken at p + sam·g/‖g‖, by a second evaluation of the batch",
)
def sam(evaluate: Evaluate, parameters: Tensors, radius: "Tensor") -> "tuple[Tensor, Tensors]":
    """Sharpness-aware minimization: ∇L(p + ρ·g/(‖g‖ + 1e-12)), the norm over all parameters."""
    loss, gradients = evaluate(parameters)
    if not gradients:
        return loss, gradients
    scale = radius / (norm_of_all(gradients.values()) + FLOOR)
    nearby = {n: p + along(scale, p) * gradients[n] if n in gradients else p for n, p in parameters.items()}
    return loss, evaluate(nearby)[1]
