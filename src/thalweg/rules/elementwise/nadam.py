"""NAdam: Adam with Nesterov's momentum and a momentum schedule."""

from typing import Literal

from thalweg.numerics import lerp, round_to_default_dtype, sqrt
from thalweg.rules.contract import preset, rule
from thalweg.rules.hyperparameters import Decay, Epsilon, NonNegative, Rate
from thalweg.rules.states import RowOnes, Zeros


@rule(
    paper="Dozat 2016, ICLR workshop, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
    when="As Adam, where momentum should look one step ahead.",
    family="adam",
    purpose="Adam whose momentum looks one step ahead",
    drop_in="NAdam(lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
    conventions={
        "keras": {"lr": 1e-3, "eps": 1e-7, "momentum_decay": 1.0},
        "optax": {"lr": 1e-3, "momentum_decay": 1e6},  # 0.96^1e6 is 0: μ stays β1
        "paper": {},
    },
)
def nadam(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, mu_product: RowOnes, t, *,
    lr: Rate = 2e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-8, momentum_decay: NonNegative = 4e-3,
    convention: Literal["torch", "paper"] = "torch",
):  # fmt: skip
    """NAdam.

        μₜ = β1·(1 - ½·0.96^(t·ψ)),  Πₜ = μ₁⋯μₜ
        m ← β1·m + (1 - β1)·g,  v ← β2·v + (1 - β2)·g²
        p ← p - lr · ((1 - μₜ)/(1 - Πₜ)·g + μₜ₊₁/(1 - Πₜ₊₁)·m) / (√(v/(1 - β2ᵗ)) + ε)

    ψ = 1 is Keras; ψ → ∞ is Optax. The paper averages with m ← μₜ·m + (1 - μₜ)·g, and divides by √(β2·v/(1 - β2ᵗ)) + ε.
    """
    mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    mu_product = round_to_default_dtype(
        round_to_default_dtype(mu) * mu_product
    )  # torch multiplies in its default dtype
    decay, share = (beta1, 1.0) if convention == "torch" else (mu, beta2)
    exp_avg = lerp(exp_avg, g, 1 - decay)
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    now, next_one = lr * (1 - mu) / (1 - mu_product), lr * mu_next / (1 - mu_product * mu_next)
    second = share / (1 - beta2**t) * exp_avg_sq
    return (now * g + next_one * exp_avg) / (sqrt(second) + eps), exp_avg, exp_avg_sq, mu_product


nadamw = preset(
    nadam, "nadamw", "NAdam with decoupled weight decay.",
    when="As AdamW, where momentum should look one step ahead.",
    purpose="with decoupled weight decay, as adamw",
    paper="Dozat 2016 with Loshchilov & Hutter 2017, arXiv:1711.05101",
    conventions={"optax": {"weight_decay": 1e-4}}, weight_decay=1e-2, decoupled_weight_decay=True,
)  # fmt: skip
