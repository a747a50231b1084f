"""MADGRAD: dual averaging from the first parameter, by the cube root of the summed squares, with momentum."""

from typing import Literal

from thalweg.numerics import cbrt, sqrt, where
from thalweg.rules.contract import rule
from thalweg.rules.conversions import only_at_zero
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Weights, Zeros


@rule(
    paper="Defazio & Jelassi 2021, arXiv:2101.11075",
    when="As Adagrad for deep networks: dual averaging with momentum; weight decay near 0 suits it best.",
    family="coordinate",
    purpose="Adagrad for deep networks, with momentum",
    drop_in="MADGRAD(lr, momentum, weight_decay, eps, decoupled_weight_decay)",
    rates=(1e-5, 1e-1),
    conventions={"optax": {}},
    move=only_at_zero("eps", "Optax adds ε to the learning rate, too"),
)
def madgrad(
    g, p, grad_sum_sq: Zeros, grad_sum: Zeros, x0: Weights, t, *,
    lr: Rate = 1e-2, momentum: Decay = 0.9, eps: Epsilon = 1e-6,
    convention: Literal["torch", "optax"] = "torch",
):  # fmt: skip
    """MADGRAD.

        λ = lr·√t,  s ← s + λ·g,  v ← v + λ·g²
        z = p₀ - s / (∛v + ε)     (p₀ the parameter before the first step)
        p ← μ·p + (1 - μ)·z

    The authors' package and Optax add ε to lr as well: so does convention="optax". Decoupled decay shrinks p alone,
    which z then pulls back; the first step's shrinks p₀.
    """
    x0 = where(t == 1, p, x0)
    weight = (lr + eps if convention == "optax" else lr) * sqrt(t)
    grad_sum = grad_sum + weight * g
    grad_sum_sq = grad_sum_sq + weight * g * g
    z = x0 - grad_sum / (cbrt(grad_sum_sq) + eps)
    return (1 - momentum) * (p - z), grad_sum_sq, grad_sum, x0
