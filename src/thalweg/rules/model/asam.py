"""ASAM: SAM in units of each parameter."""

from typing import TYPE_CHECKING

from thalweg.rules.model_contract import Evaluate, Tensors, along, model_rule, norm_of_all

if TYPE_CHECKING:
    from torch import Tensor

FLOOR = 1e-12  # of the norm that is divided by


@model_rule(
    paper="Kwon et al. 2021, arXiv:2102.11600",
    meaning="radius of ASAM: gradients are taken at p + asam·p²g/‖p·g‖, by a second evaluation of the batch",
)
def asam(evaluate: Evaluate, parameters: Tensors, radius: "Tensor") -> "tuple[Tensor, Tensors]":
    """Adaptive SAM: ∇L(p + ρ·|p|²·g/(‖|p|·g‖ + 1e-12)): the scale of a layer's weights does not matter."""
    loss, gradients = evaluate(parameters)
    if not gradients:
        return loss, gradients
    size = {n: parameters[n].abs() for n in gradients}
    scale = radius / (norm_of_all(size[n] * g for n, g in gradients.items()) + FLOOR)
    moved = {n: parameters[n] + along(scale, g) * size[n] * size[n] * g for n, g in gradients.items()}
    return loss, evaluate({**parameters, **moved})[1]
