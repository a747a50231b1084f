"""AdaBelief: the variance of the gradient around its mean in place of its square."""

from thalweg.numerics import sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Zhuang et al. 2020, arXiv:2010.07468",
    when="As Adam where gradients are steady: it takes larger steps where they are as expected.",
    family="adam",
    purpose="steady gradients: larger steps where as expected",
    drop_in="AdaBelief(lr, betas, eps, weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
    conventions={"optax": {}},
    argument_names={"optax": {"eps": ("eps", "eps_root")}},
    decoupled_weight_decay=True,
)
def adabelief(
    g, p, exp_avg: Zeros, exp_avg_var: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-16,
):  # fmt: skip
    """AdaBelief.

        m ← β1·m + (1 - β1)·g
        s ← β2·s + (1 - β2)·(g - m)² + ε
        p ← p - lr · m/(1 - β1ᵗ) / (√(s/(1 - β2ᵗ)) + ε)

    The authors' package rectifies as RAdam does unless told otherwise, and decays decoupled, as here. Optax has the two
    ε apart, eps_root in s and eps beside the root: equal, they are this ε. Its older versions took the m of the step
    before.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    surprise = g - exp_avg
    exp_avg_var = beta2 * exp_avg_var + (1 - beta2) * surprise * surprise + eps
    update = lr * (exp_avg / (1 - beta1**t)) / (sqrt(exp_avg_var) / sqrt(1 - beta2**t) + eps)
    return update, exp_avg, exp_avg_var
