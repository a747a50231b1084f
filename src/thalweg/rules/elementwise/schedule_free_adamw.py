"""Schedule-free AdamW: RMSprop's steps, with averaging in place of momentum and of a schedule."""

from typing import Literal

from thalweg.numerics import maximum, sqrt, where
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Penalty, Rate
from thalweg.rules.states import RowSum, Weights, Zeros


def _x(y, *, z, beta1):
    """The average. With beta1 = 0 it is lost, and y is z."""
    return where(beta1 > 0, z + (y - z) / maximum(beta1, 1e-12), y)


@rule(
    paper="Defazio et al. 2024, arXiv:2405.15682",
    when="As AdamW where the end of training is not known: no schedule; evaluate at the averaged point.",
    family="average",
    purpose="AdamW where the end of training is not known",
    drop_in="AdamWScheduleFree(lr, betas, eps, decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
    evaluated=_x,
    sparse_unsupported="its average goes on at every step",
    conventions={"keras": {}, "optax": {}},
    argument_names={"optax": {"decay": "weight_decay"}},
)
def schedule_free_adamw(
    g, p, z: Weights, exp_avg_sq: Zeros, weight_sum: RowSum, t, *,
    lr: Rate = 2.5e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-8, decay: Penalty = 0.0,
    convention: Literal["torch", "keras", "optax"] = "torch",
):  # fmt: skip
    """Schedule-free AdamW.

        v ← β2·v + (1 - β2)·g²
        γ = lr·√(1 - β2ᵗ)
        z ← z - γ·(g/(√v + ε) + decay·y)     (z starts as the parameter)
        x ← (1 - c)·x + c·z                  c = γₜ²/(γ₁² + … + γₜ²)
        y = (1 - β1)·z + β1·x

    The parameter that is held and trained is y; x = z + (y - z)/β1 is what to evaluate. The paper's
    decay is `decay`; weight_decay would shrink y alone. The authors' package weighs by the largest γ so far; its newer
    versions, Optax and Keras leave √(1 - β2ᵗ) out of γ and divide v by 1 - β2ᵗ. Keras has c = 1/t, and its z starts
    before the first weight_decay. Optax's weight_decay is `decay`; its schedules give c the next step's rate.
    """
    z = where(t == 1, p, z)
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    correction = 1 - beta2**t
    if convention == "torch":
        rate = lr * sqrt(correction)
        root = sqrt(exp_avg_sq)
    else:
        rate = lr
        root = sqrt(exp_avg_sq / correction)
    weight = 1.0 if convention == "keras" else rate * rate
    weight_sum = weight_sum + weight
    c = weight / where(weight_sum > 0, weight_sum, 1.0)
    step = rate * g / (root + eps)
    if decay is not None:
        step = step + rate * decay * p
    return c * (p - z) + (1 - beta1 * (1 - c)) * step, z - step, exp_avg_sq, weight_sum
