"""LAMB: Adam's direction, scaled tensor by tensor to the size of the weights."""

from typing import Literal

from thalweg.numerics import lerp, norm, sqrt, where
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Penalty, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="You et al. 2020, arXiv:1904.00962",
    when="For very large batches, as of BERT: every tensor moves by the same share of its own size.",
    family="layer",
    purpose="very large batches, as of BERT",
    drop_in="LAMB(lr, betas, eps, weight_decay)",
    rates=(1e-4, 1e0),
    scale_free=True,
    conventions={"keras": {"eps": 1e-7}, "optax": {}},
)
def lamb(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-6, weight_decay: Penalty = 0.0,
    convention: Literal["torch", "keras"] = "torch",
):  # fmt: skip
    """LAMB.

        m ← β1·m + (1 - β1)·g,  v ← β2·v + (1 - β2)·g²
        u = m/(1 - β1ᵗ) / (√(v/(1 - β2ᵗ)) + ε) + λ·p
        p ← p - lr · ‖p‖/‖u‖ · u         (norms over the tensor; the ratio is 1 where one of them is 0)

    The decay λ is inside of the ratio. Keras shrinks p by lr·λ before the step instead. apex and timm clip the global
    norm of the gradients to 1 by default (`clip_global_norm=1.0`), and leave the ratio out where λ is 0.
    """
    exp_avg = lerp(exp_avg, g, 1 - beta1)
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    direction = exp_avg / (1 - beta1**t) / (sqrt(exp_avg_sq) / sqrt(1 - beta2**t) + eps)
    weights = p
    if weight_decay is not None and convention == "keras":
        weights = (1 - lr * weight_decay) * p
    elif weight_decay is not None:
        direction = direction + weight_decay * p
    size, length = norm(weights), norm(direction)
    ratio = where((size > 0) * (length > 0), size / where(length > 0, length, 1.0), 1.0)
    return p - weights + lr * ratio * direction, exp_avg, exp_avg_sq
