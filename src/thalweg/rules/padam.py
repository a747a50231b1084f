"""Padam: between SGD with momentum and AMSGrad, by the power of the second moment."""

from typing import Annotated

from thalweg.numerics import Value, maximum
from thalweg.rules.contract import Zeros, rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Range, Rate

Power = Annotated[Value, Range(0.0, 0.5, search=(0.05, 0.5))]


@rule(
    paper="Chen et al. 2018, arXiv:1806.06763",
    drop_in="Padam(lr, betas, partial, eps, weight_decay)",
    rates=(1e-4, 1.0),
)
def padam(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, max_exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-1, beta1: Decay = 0.9, beta2: Decay = 0.999, partial: Power = 0.125, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Padam.

        m ← β1·m + (1 - β1)·g,  v ← β2·v + (1 - β2)·g²
        v̂ ← max(v̂, v)
        p ← p - lr · m / (v̂^q + ε)     (q is `partial`: ½ is AMSGrad)

    As in the paper nothing is corrected for bias, and ε is ours. The authors' package corrects as Adam does, takes no
    maximum unless told to, and raises √v̂ + ε to the power 2q.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq)
    return lr * exp_avg / (max_exp_avg_sq**partial + eps), exp_avg, exp_avg_sq, max_exp_avg_sq
