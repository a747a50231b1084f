"""M-SVAG: momentum, damped where the gradient's variance exceeds its mean."""

from thalweg.numerics import maximum, where
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Balles & Hennig 2017, arXiv:1705.07774",
    when="To see what the adaptive part of Adam does without its sign: SGD scaled by its signal-to-noise ratio.",
    family="coordinate",
    purpose="SGD scaled by its signal-to-noise ratio",
    drop_in="MSVAG(lr, beta, weight_decay)",
    rates=(1e-3, 1e1),
)
def msvag(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-1, beta: Decay = 0.9,
):  # fmt: skip
    """M-SVAG.

        m̃ ← β·m̃ + (1 - β)·g,  ṽ ← β·ṽ + (1 - β)·g²,  m = m̃/(1 - βᵗ),  v = ṽ/(1 - βᵗ)
        ρ = (1 - β)(1 + βᵗ) / ((1 + β)(1 - βᵗ))
        s = max(v - m², 0)/(1 - ρ)     (0 at the first step, where ρ = 1)
        p ← p - lr · m²/(m² + ρ·s) · m

    The authors' package keeps ρ below 0.999 instead. It has no default lr.
    """
    exp_avg = beta * exp_avg + (1 - beta) * g
    exp_avg_sq = beta * exp_avg_sq + (1 - beta) * g * g
    correction = 1 - beta**t
    mean = exp_avg / correction
    square = mean * mean
    freedom = 2 * (beta - beta**t) / ((1 + beta) * correction)  # 1 - ρ, exactly 0 where it is
    known = where(freedom > 0, (1 - freedom) / where(freedom > 0, freedom, 1.0), 0.0)
    noise = known * maximum(exp_avg_sq / correction - square, 0.0)
    return lr * where(square > 0, square / (square + noise), 0.0) * mean, exp_avg, exp_avg_sq
