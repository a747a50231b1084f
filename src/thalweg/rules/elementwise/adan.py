"""Adan: Nesterov's momentum from the differences of gradients."""

from thalweg.numerics import sqrt, where
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Xie et al. 2022, arXiv:2208.06677",
    when="For large vision and language models with large batches; three moments and their memory are its price.",
    family="adam",
    purpose="large models, large batches; three moments to hold",
    drop_in="Adan(lr, betas, eps, weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
    decoupled_weight_decay=True,
)
def adan(
    g, p, exp_avg: Zeros, exp_avg_diff: Zeros, exp_avg_sq: Zeros, previous_grad: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.98, beta2: Decay = 0.92, beta3: Decay = 0.99, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Adan.

        δ = g - the gradient of the step before     (0 at the first step)
        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·δ
        n ← β3·n + (1 - β3)·(g + β2·δ)²
        p ← p - lr · (m/(1 - β1ᵗ) + β2·v/(1 - β2ᵗ)) / (√(n/(1 - β3ᵗ)) + ε)

    The paper's β are one minus these. Its decay, (p - update)/(1 + lr·λ), is not here: decoupled decay is what the
    authors' package does with no_prox=True. Optax weighs δ and v by 1 - β2 where the authors' package has β2,
    and adds ε inside of the root as well: it has no convention here.
    """
    change = where(t == 1, 0.0, g - previous_grad)
    ahead = g + beta2 * change
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_diff = beta2 * exp_avg_diff + (1 - beta2) * change
    exp_avg_sq = beta3 * exp_avg_sq + (1 - beta3) * ahead * ahead
    direction = exp_avg / (1 - beta1**t) + beta2 / (1 - beta2**t) * exp_avg_diff
    return lr * direction / (sqrt(exp_avg_sq) / sqrt(1 - beta3**t) + eps), exp_avg, exp_avg_diff, exp_avg_sq, g
