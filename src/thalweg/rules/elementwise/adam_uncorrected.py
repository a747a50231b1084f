"""Adam without bias correction, as BERT was trained."""

from thalweg.numerics import sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Devlin et al. 2018, arXiv:1810.04805; what it costs: Mosbach et al. 2020, arXiv:2006.04884",
    when="To repeat BERT's published training; anywhere else Adam's early steps are better corrected.",
    family="adam",
    purpose="repeats BERT's published training",
    drop_in="AdamUncorrected(lr, betas, eps, weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
)
def adam_uncorrected(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-6,
):  # fmt: skip
    """Adam without bias correction.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·g²
        p ← p - lr · m / (√v + ε)

    Early steps are up to (1 - β1)/√(1 - β2) times Adam's, 3.2 at the defaults, and need a warm-up.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    return lr * exp_avg / (sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq
