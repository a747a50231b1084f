"""RMSprop: gradients divided by a running root mean square."""

from typing import Literal

from thalweg.numerics import lerp, maximum, sqrt
from thalweg.rules.contract import rule
from thalweg.rules.conversions import BESIDE_ROOT, Converted, Values, rate_inside
from thalweg.rules.hyperparameters import Epsilon, Flag, Fraction, Momentum, Rate
from thalweg.rules.states import Zeros


def _moved(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
    if "torch" in (source, target) and values["eps"] != 0:
        return BESIDE_ROOT
    return rate_inside(values, source, target, constant_rate)


@rule(
    paper="Tieleman & Hinton 2012, Coursera lecture 6.5; centered: Graves 2013, arXiv:1308.0850",
    when="For recurrent networks and reinforcement learning, where it is the published setting.",
    family="coordinate",
    purpose="recurrent networks, reinforcement learning",
    drop_in=(
        "RMSprop(lr, alpha, eps, weight_decay, momentum, centered, capturable, foreach, maximize, differentiable)"
    ),
    rates=(1e-5, 1e-1),
    scale_free=True,
    conventions={
        "keras": {"lr": 1e-3, "alpha": 0.9, "eps": 1e-7},
        "optax": {"alpha": 0.9},
        "paper": {"lr": 1e-3, "alpha": 0.9},
    },
    move=_moved,
)
def rmsprop(
    g, p, square_avg: Zeros, momentum_buffer: Zeros, grad_avg: Zeros, t, *,
    lr: Rate = 1e-2, alpha: Fraction = 0.99, eps: Epsilon = 1e-8, momentum: Momentum = 0.0, centered: Flag = False,
    convention: Literal["torch", "keras", "optax", "paper"] = "torch",
):  # fmt: skip
    """RMSprop.

        v ← α·v + (1 - α)·g²
        δ = g / (√v + ε)           (centered: v - ḡ² for v, where ḡ ← α·ḡ + (1 - α)·g)
        b ← μ·b + δ                (with momentum)
        p ← p - lr·b               (without: p - lr·δ)

    Keras, Optax and Graves put ε inside the root, √(v + ε), and lr inside the buffer, b ← μ·b + lr·δ. torch lets
    rounding make v - ḡ² negative, hence NaN; here it stops at 0.
    """
    square_avg = alpha * square_avg + (1 - alpha) * g * g
    variance = square_avg
    if centered:
        grad_avg = lerp(grad_avg, g, 1 - alpha)
        variance = maximum(square_avg - grad_avg * grad_avg, 0.0)
    inside, outside = (1.0, lr) if convention == "torch" else (lr, 1.0)
    root = sqrt(variance) + eps if convention == "torch" else sqrt(variance + eps)
    update = inside * g / root
    if momentum is not None:
        update = momentum_buffer = momentum * momentum_buffer + update
    return outside * update, square_avg, momentum_buffer, grad_avg
