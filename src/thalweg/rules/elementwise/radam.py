"""RAdam: Adam that waits until its second moment can be trusted."""

from typing import Literal

from thalweg.numerics import lerp, sqrt, where
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Liu et al. 2019, arXiv:1908.03265",
    when="As Adam without a warm-up schedule: it holds back until its second moment can be trusted.",
    family="adam",
    purpose="Adam without a warm-up schedule",
    drop_in="RAdam(lr, betas, eps, weight_decay, decoupled_weight_decay)",
    rates=(1e-5, 1e-1),
    conventions={"optax": {}, "paper": {}},
)
def radam(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-8,
    convention: Literal["torch", "optax", "paper"] = "torch",
):  # fmt: skip
    """Rectified Adam.

        m ← β1·m + (1 - β1)·g,  v ← β2·v + (1 - β2)·g²
        ρ∞ = 2/(1 - β2) - 1,  ρₜ = ρ∞ - 2t·β2ᵗ/(1 - β2ᵗ)
        p ← p - lr · m/(1 - β1ᵗ) · r·√(1 - β2ᵗ)/(√v + ε)   where ρₜ > 5,
        p ← p - lr · m/(1 - β1ᵗ)                           before,
        r = √((ρₜ - 4)(ρₜ - 2)ρ∞ / ((ρ∞ - 4)(ρ∞ - 2)ρₜ))

    The paper rectifies from ρₜ > 4 and has no ε; torch from ρₜ > 5, Optax from ρₜ ≥ 5 and with √(v/(1 - β2ᵗ)) + ε.
    """
    exp_avg = lerp(exp_avg, g, 1 - beta1)
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    correction = 1 - beta2**t
    most = 2 / (1 - beta2) - 1
    length = most - 2 * t * beta2**t / correction
    trusted = length > 4 if convention == "paper" else length >= 5 if convention == "optax" else length > 5
    held, limit = where(trusted, length, 5.0), where(trusted, most, 5.0)  # keeps the branch not taken finite
    rectifier = sqrt((held - 4) * (held - 2) * limit / ((limit - 4) * (limit - 2) * held))
    second = where(trusted, exp_avg_sq, 1.0)  # no root is taken before, which has no derivative at 0
    if convention == "optax":
        adaptive = rectifier / (sqrt(second / correction) + eps)
    else:
        adaptive = rectifier * sqrt(correction) / (sqrt(second) + eps)
    scale = where(trusted, adaptive, 1.0)
    return lr / (1 - beta1**t) * exp_avg * scale, exp_avg, exp_avg_sq
