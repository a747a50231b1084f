"""NosAdam: Adam whose second moment weighs the past more than the present."""

from thalweg.numerics import sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, NonNegative, Rate
from thalweg.rules.states import RowSum, Zeros


@rule(
    paper="Huang, Wang & Dong 2018, arXiv:1805.07557",
    when="Where the squares of old gradients should count more than those of new ones.",
    family="adam",
    purpose="old squares count more than new ones",
    drop_in="NosAdam(lr, beta1, gamma, eps, weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
)
def nosadam(
    g, p, exp_avg: Zeros, average_sq: Zeros, weight_sum: RowSum, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, gamma: NonNegative = 0.1, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Nostalgic Adam, with hyperharmonic weights.

        m ← β1·m + (1 - β1)·g
        v ← (B/B')·v + (1 - B/B')·g²     B' = B + t^-γ, the sum of the weights so far
        p ← p - lr · m / (√v + ε)

    Nothing is corrected for bias: v needs no correction, and the paper's m has none.
    """
    before, weight_sum = weight_sum, weight_sum + t ** (-gamma)
    beta2 = before / weight_sum
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    average_sq = beta2 * average_sq + (1 - beta2) * g * g
    return lr * exp_avg / (sqrt(average_sq) + eps), exp_avg, average_sq, weight_sum
