"""Grams: the size of Adam's step, in the direction of the gradient."""

from thalweg.numerics import absolute, sign, sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Cao, Li & Song 2024, arXiv:2412.17107",
    when="To try whether Adam's sizes with the gradient's own signs help: a recent idea, with little evidence.",
    family="adam",
    purpose="Adam's sizes with the gradient's signs; recent",
    drop_in="Grams(lr, betas, eps, weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
    decoupled_weight_decay=True,
)
def grams(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-6,
):  # fmt: skip
    """Grams.

        m ← β1·m + (1 - β1)·g,  v ← β2·v + (1 - β2)·g²
        p ← p - lr · sign(g) · |m/(1 - β1ᵗ)| / (√(v/(1 - β2ᵗ)) + ε)

    An element whose gradient is 0 stays where it is, whatever its momentum. The authors' package adds ε before the bias
    correction.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    size = absolute(exp_avg / (1 - beta1**t)) / (sqrt(exp_avg_sq) / sqrt(1 - beta2**t) + eps)
    return lr * sign(g) * size, exp_avg, exp_avg_sq
