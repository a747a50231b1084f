"""AdEMAMix: Adam with a second, much slower average of the gradient."""

import math
from typing import Annotated

from thalweg.numerics import Value, exp, log, minimum, sqrt
from thalweg.options.ranges import Range
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, NonNegative, Rate, Switch
from thalweg.rules.states import Zeros

Steps = Annotated[Value, Range(0.0, math.inf, search=(1e1, 1e3), scale="log"), Switch()]
TINY = 1e-300  # keeps 1/x finite where beta1 and beta3 are both 0


@rule(
    paper="Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137",
    when="For long language-model training: gradients of thousands of steps ago still help.",
    family="adam",
    purpose="long language-model training",
    drop_in="AdEMAMix(lr, betas, alpha, t_alpha, t_beta3, eps, weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
    conventions={"optax": {}},
    argument_names={"optax": {"alpha": "alpha"}},
    decoupled_weight_decay=True,
)
def ademamix(
    g, p, exp_avg: Zeros, exp_avg_slow: Zeros, exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, beta3: Decay = 0.9999, alpha: NonNegative = 5.0,
    t_alpha: Steps = 0.0, t_beta3: Steps = 0.0, eps: Epsilon = 1e-8,
):  # fmt: skip
    """AdEMAMix.

        m ← β1·m + (1 - β1)·g,  s ← β3ₜ·s + (1 - β3ₜ)·g,  v ← β2·v + (1 - β2)·g²
        p ← p - lr · (m/(1 - β1ᵗ) + αₜ·s) / (√(v/(1 - β2ᵗ)) + ε)
        αₜ = α·min(t/t_alpha, 1),  1/ln β3ₜ = (1 - u)/ln β1 + u/ln β3 with u = min(t/t_beta3, 1)

    Steps of 0: no warm-up, α and β3 from the start. The authors' package has α = 2 by default, and interpolates β3 with
    1e-8 added to the betas; Optax, α = 5; there, schedules that count from 0 stand for
    the warm-ups. The paper takes α from 4 to 10.
    """
    if t_alpha is not None:
        alpha = alpha * minimum(t / t_alpha, 1.0)
    if t_beta3 is not None:
        share = minimum(t / t_beta3, 1.0)
        beta3 = minimum(exp(1 / minimum((1 - share) / log(beta1) + share / log(beta3), -TINY)), beta3)
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_slow = beta3 * exp_avg_slow + (1 - beta3) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    mixed = exp_avg / (1 - beta1**t) + alpha * exp_avg_slow
    return lr * mixed / (sqrt(exp_avg_sq) / sqrt(1 - beta2**t) + eps), exp_avg, exp_avg_slow, exp_avg_sq
