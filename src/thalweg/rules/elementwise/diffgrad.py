"""diffGrad: Adam held back where the gradient changes little."""

from thalweg.numerics import absolute, exp, sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Dubey et al. 2019, arXiv:1909.11015",
    when="As Adam, where steps should shrink once the gradient no longer changes.",
    family="adam",
    purpose="smaller steps once the gradient stops changing",
    drop_in="DiffGrad(lr, betas, eps, weight_decay)",
    rates=(1e-5, 1e-1),
)
def diffgrad(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, previous_grad: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """diffGrad.

        m ← β1·m + (1 - β1)·g,  v ← β2·v + (1 - β2)·g²
        ξ = 1/(1 + e^-|g' - g|)     (g' the gradient of the step before, 0 at first; ξ is from ½ to 1)
        p ← p - lr · ξ·m/(1 - β1ᵗ) / (√(v/(1 - β2ᵗ)) + ε)

    The authors' package adds ε before the bias correction; its first version compared the gradient with itself, so
    that ξ was always ½.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    friction = 1 / (1 + exp(-absolute(previous_grad - g)))
    update = lr * friction * (exp_avg / (1 - beta1**t)) / (sqrt(exp_avg_sq) / sqrt(1 - beta2**t) + eps)
    return update, exp_avg, exp_avg_sq, g
