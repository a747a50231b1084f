"""AdaMod: Adam whose rates stay below their own running average."""

from thalweg.numerics import minimum, sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Ding et al. 2019, arXiv:1910.12249",
    when="As Adam without a warm-up: rates are held below their own running mean.",
    family="adam",
    purpose="Adam without a warm-up: rates below their mean",
    drop_in="AdaMod(lr, betas, eps, weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
    decoupled_weight_decay=True,
)
def adamod(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, exp_avg_lr: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, beta3: Decay = 0.999, eps: Epsilon = 1e-8,
):  # fmt: skip
    """AdaMod.

        m ← β1·m + (1 - β1)·g,  v ← β2·v + (1 - β2)·g²
        η = lr / (√(v/(1 - β2ᵗ)) + ε)
        s ← β3·s + (1 - β3)·η
        p ← p - min(η, s) · m/(1 - β1ᵗ)

    The authors' package averages and bounds η/(1 - β1ᵗ), and adds ε before the bias correction. s starts at 0, so the
    first steps are small.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    rate = lr / (sqrt(exp_avg_sq) / sqrt(1 - beta2**t) + eps)
    exp_avg_lr = beta3 * exp_avg_lr + (1 - beta3) * rate
    return minimum(rate, exp_avg_lr) * (exp_avg / (1 - beta1**t)), exp_avg, exp_avg_sq, exp_avg_lr
