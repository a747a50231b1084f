"""QHAdam: Adam whose moments are averaged once more with the gradient of the step."""

from thalweg.numerics import sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Fraction, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Ma & Yarats 2018, arXiv:1810.06801",
    when="As Adam, with two more knobs between its moments and the plain gradient.",
    family="adam",
    purpose="Adam with two more knobs",
    drop_in="QHAdam(lr, betas, nu1, nu2, eps, weight_decay, decoupled_weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
)
def qhadam(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.995, beta2: Decay = 0.999, nu1: Fraction = 0.7, nu2: Fraction = 1.0,
    eps: Epsilon = 1e-8,
):  # fmt: skip
    """Quasi-hyperbolic Adam.

        m ← β1·m + (1 - β1)·g,  v ← β2·v + (1 - β2)·g²
        p ← p - lr · ((1 - ν1)·g + ν1·m/(1 - β1ᵗ)) / (√((1 - ν2)·g² + ν2·v/(1 - β2ᵗ)) + ε)

    ν1 = ν2 = 1 is Adam, and the default of the authors' package, with β1 = 0.9; the defaults here are those that the
    package recommends.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    first = (1 - nu1) * g + nu1 / (1 - beta1**t) * exp_avg
    second = (1 - nu2) * g * g + nu2 / (1 - beta2**t) * exp_avg_sq
    return lr * first / (sqrt(second) + eps), exp_avg, exp_avg_sq
