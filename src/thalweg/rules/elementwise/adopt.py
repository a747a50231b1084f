"""ADOPT: gradients normalized by the second moment before them, then averaged."""

from thalweg.numerics import clip, maximum, sqrt, where
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Flag, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Taniguchi et al. 2024, arXiv:2411.02853",
    when="Where Adam does not settle for any beta2: the second moment is that of the steps before.",
    family="adam",
    purpose="where Adam does not settle for any beta2",
    drop_in="ADOPT(lr, betas, eps, clipped, weight_decay, decoupled_weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
    sparse_unsupported="it divides by what it knows of the gradients before",
    conventions={"optax": {}},
    argument_names={"optax": {"clipped": "use_clipping"}},
)
def adopt(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.9999, eps: Epsilon = 1e-6, clipped: Flag = True,
):  # fmt: skip
    """ADOPT.

        v ← g²                                   at the first step, which does nothing else
        d = g / max(√v, ε)                       (clipped: d limited to ±(t - 1)^¼)
        m ← β1·m + (1 - β1)·d
        v ← β2·v + (1 - β2)·g²
        p ← p - lr·m

    Clipping came with a later version of the paper, and is the default of the authors' package. Decoupled decay shrinks
    p at the first step, too, where that package leaves it alone. Optax, which has no decay, computes the same.
    """
    direction = g / maximum(sqrt(exp_avg_sq), eps)
    if clipped:
        limit = (t - 1) ** 0.25
        direction = clip(direction, -limit, limit)
    exp_avg = where(t == 1, 0.0, beta1 * exp_avg + (1 - beta1) * direction)
    exp_avg_sq = beta2 * exp_avg_sq + where(t == 1, 1.0, 1 - beta2) * g * g
    return lr * exp_avg, exp_avg, exp_avg_sq
