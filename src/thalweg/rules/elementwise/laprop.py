"""LaProp: gradients normalized first and averaged then, where Adam does it the other way round."""

from thalweg.numerics import sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Ziyin, Wang & Ueda 2020, arXiv:2002.04839",
    when="As Adam at a low beta2, where momentum and normalization should not disturb each other.",
    family="adam",
    purpose="a low beta2: momentum after normalization",
    drop_in="LaProp(lr, betas, eps, weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
    decoupled_weight_decay=True,
)
def laprop(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, t, *,
    lr: Rate = 4e-4, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-15,
):  # fmt: skip
    """LaProp.

        v ← β2·v + (1 - β2)·g²
        m ← β1·m + (1 - β1)·g / (√(v/(1 - β2ᵗ)) + ε)
        p ← p - lr · m/(1 - β1ᵗ)

    The authors' package keeps lr inside m, which differs once the rate changes, and decays by λ alone, after the step.
    """
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    exp_avg = beta1 * exp_avg + (1 - beta1) * g / (sqrt(exp_avg_sq) / sqrt(1 - beta2**t) + eps)
    return lr / (1 - beta1**t) * exp_avg, exp_avg, exp_avg_sq
