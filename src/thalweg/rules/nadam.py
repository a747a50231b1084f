"""NAdam: Adam with Nesterov's momentum and a momentum schedule."""

from thalweg.numerics import kept, sqrt
from thalweg.rules.contract import RowOnes, Zeros, rule
from thalweg.rules.hyperparameters import Decay, Epsilon, NonNegative, Rate


@rule(
    paper="Dozat 2016, ICLR workshop, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
    drop_in="NAdam(lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay)",
    rates=(1e-5, 1e-1),
)
def nadam(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, mu_product: RowOnes, t, *,
    lr: Rate = 2e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-8, momentum_decay: NonNegative = 4e-3,
):  # fmt: skip
    """NAdam.

        μₜ = β1·(1 - ½·0.96^(t·ψ)),  Πₜ = μ₁⋯μₜ
        m ← β1·m + (1 - β1)·g,  v ← β2·v + (1 - β2)·g²
        p ← p - lr · ((1 - μₜ)/(1 - Πₜ)·g + μₜ₊₁/(1 - Πₜ₊₁)·m) / (√(v/(1 - β2ᵗ)) + ε)

    ψ = 1 is Keras; ψ → ∞ is Optax.
    """
    mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    mu_product = kept(kept(mu) * mu_product)  # torch multiplies in its default dtype
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    ahead = (1 - mu) / (1 - mu_product) * g + mu_next / (1 - mu_product * mu_next) * exp_avg
    return lr * ahead / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps), exp_avg, exp_avg_sq, mu_product
