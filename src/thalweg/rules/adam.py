"""Adam and its kin with the same moments: AMSGrad, and AdamW by decoupled decay."""

from thalweg.numerics import maximum, sqrt
from thalweg.rules.contract import Zeros, preset, rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Flag, Rate


@rule(
    paper="Kingma & Ba 2014, arXiv:1412.6980; AMSGrad: Reddi et al. 2018, arXiv:1904.09237",
    drop_in="Adam(lr, betas, eps, weight_decay, amsgrad)",
    rates=(1e-5, 1e-1),
)
def adam(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, max_exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-8, amsgrad: Flag = False,
):  # fmt: skip
    """Adam.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·g²     (amsgrad: the largest v so far stands for v below)
        p ← p - lr · m/(1 - β1ᵗ) / (√(v/(1 - β2ᵗ)) + ε)

    Keras adds ε before the bias correction; Optax takes amsgrad's maximum after it.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    second = exp_avg_sq
    if amsgrad:
        second = max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq)
    update = lr * (exp_avg / (1 - beta1**t)) / (sqrt(second / (1 - beta2**t)) + eps)
    return update, exp_avg, exp_avg_sq, max_exp_avg_sq


adamw = preset(
    adam, "adamw", "Adam with decoupled weight decay.",
    paper="Loshchilov & Hutter 2017, arXiv:1711.05101", drop_in="AdamW(lr, betas, eps, weight_decay, amsgrad)",
    weight_decay=1e-2, decoupled_weight_decay=True,
)  # fmt: skip
