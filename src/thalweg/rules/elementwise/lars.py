"""LARS: momentum, with a learning rate for each tensor by the size of its weights."""

from typing import Any, Literal

from thalweg.numerics import norm, where
from thalweg.rules.contract import rule
from thalweg.rules.conversions import Converted, Values, rate_inside
from thalweg.rules.hyperparameters import Epsilon, Flag, Momentum, NonNegative, Penalty, Rate
from thalweg.rules.states import Zeros


def _contradiction(values: Any) -> str:
    return "nesterov=True needs a momentum above 0" if values["nesterov"] and values["momentum"] == 0 else ""


def _move(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
    if values["weight_decay"] and "optax" in (source, target):
        return "Optax divides by the norm of the decayed gradient, the others by the sum of two norms"
    return rate_inside(values, source, target, constant_rate)


@rule(
    paper="You, Gitman & Ginsburg 2017, arXiv:1708.03888",
    when="For convolutional networks with very large batches; keep biases and norms in a group of their own.",
    family="layer",
    purpose="convolutional networks with very large batches",
    drop_in="LARS(lr, momentum, weight_decay, nesterov, trust_coefficient, eps)",
    rates=(1e-2, 1e2),
    counts_steps=False,
    scale_free=True,
    contradiction=_contradiction,
    conventions={"optax": {"eps": 0.0}, "paper": {"eps": 0.0}},
    move=_move,
)
def lars(
    g, p, momentum_buffer: Zeros, t, *,
    lr: Rate = 1.0, momentum: Momentum = 0.9, weight_decay: Penalty = 0.0, nesterov: Flag = False,
    trust_coefficient: NonNegative = 1e-3, eps: Epsilon = 1e-8,
    convention: Literal["torch", "optax", "paper"] = "torch",
):  # fmt: skip
    """LARS.

        r = η·‖p‖ / (‖g‖ + λ·‖p‖ + ε)    (norms over the tensor; 1 where ‖p‖ or ‖g‖ is 0)
        b ← μ·b + r·(g + λ·p)
        p ← p - lr·b                      (nesterov: p - lr·(r·(g + λ·p) + μ·b))

    The paper and Optax keep lr inside of the buffer, b ← μ·b + lr·r·(g + λ·p) and p ← p - b; Optax divides by
    ‖g + λ·p‖ + ε. timm leaves r out where λ is 0, unless always_adapt is set.
    """
    decayed = g if weight_decay is None else g + weight_decay * p
    size = norm(p)
    if convention == "optax":
        length = divisor = norm(decayed)
    else:
        length = norm(g)
        divisor = length if weight_decay is None else length + weight_decay * size
    moves = (size > 0) * (length > 0)
    ratio = where(moves, trust_coefficient * size / where(moves, divisor + eps, 1.0), 1.0)
    inside, outside = (1.0, lr) if convention == "torch" else (lr, 1.0)
    scaled = inside * ratio * decayed
    if momentum is None:
        return outside * scaled, momentum_buffer
    momentum_buffer = momentum * momentum_buffer + scaled
    direction = scaled + momentum * momentum_buffer if nesterov else momentum_buffer
    return outside * direction, momentum_buffer
