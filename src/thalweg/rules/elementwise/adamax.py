"""AdaMax: Adam under the infinity norm."""

from typing import Literal

from thalweg.numerics import absolute, lerp, maximum
from thalweg.rules.contract import rule
from thalweg.rules.conversions import only_at_zero
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Kingma & Ba 2014, arXiv:1412.6980, section 7.1",
    when="Where single gradients are huge, as with embeddings: the largest of them decides, not their mean square.",
    family="adam",
    purpose="single huge gradients, as with embeddings",
    drop_in="Adamax(lr, betas, eps, weight_decay, foreach)",
    rates=(1e-4, 1.0),
    scale_free=True,
    conventions={"keras": {"lr": 1e-3, "eps": 1e-7}, "optax": {}, "paper": {}},
    move=only_at_zero("eps", "ε stands inside of the maximum in one, which is the same for eps=0 only"),
)
def adamax(
    g, p, exp_avg: Zeros, exp_inf: Zeros, t, *,
    lr: Rate = 2e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-8,
    convention: Literal["torch", "keras"] = "torch",
):  # fmt: skip
    """AdaMax.

        m ← β1·m + (1 - β1)·g
        u ← max(β2·u, |g| + ε)
        p ← p - lr / (1 - β1ᵗ) · m / u

    Keras adds ε to u instead, m/(u + ε) with u ← max(β2·u, |g|). The paper has no ε.
    """
    exp_avg = lerp(exp_avg, g, 1 - beta1)
    if convention == "torch":
        largest = exp_inf = maximum(beta2 * exp_inf, absolute(g) + eps)
    else:
        exp_inf = maximum(beta2 * exp_inf, absolute(g))
        largest = exp_inf + eps
    return lr / (1 - beta1**t) * exp_avg / largest, exp_avg, exp_inf
