"""Lion: the sign of an interpolation between momentum and gradient."""

from thalweg.numerics import sign
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Chen et al. 2023, arXiv:2302.06675",
    when="For large models where memory counts: one state; take a tenth of AdamW's rate and ten times its decay.",
    family="sign",
    purpose="large models where memory counts; a tenth of AdamW's rate",
    drop_in="Lion(lr, betas, weight_decay)",
    rates=(1e-6, 1e-2),
    scale_free=True,
    conventions={"keras": {"lr": 1e-3}, "optax": {"weight_decay": 1e-3}},
    decoupled_weight_decay=True,
)
def lion(g, p, exp_avg: Zeros, t, *, lr: Rate = 1e-4, beta1: Decay = 0.9, beta2: Decay = 0.99):
    """Lion.

    c = β1·m + (1 - β1)·g
    p ← p - lr·sign(c)
    m ← β2·m + (1 - β2)·g

    The step reads the momentum before it moves. Weight decay is decoupled unless said otherwise, and
    always in Keras and Optax, which compute the same.
    """
    direction = sign(beta1 * exp_avg + (1 - beta1) * g)
    return lr * direction, beta2 * exp_avg + (1 - beta2) * g
