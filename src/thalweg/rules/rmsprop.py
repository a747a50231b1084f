"""RMSprop: gradients divided by a running root mean square."""

from thalweg.numerics import maximum, sqrt
from thalweg.rules.contract import Zeros, rule
from thalweg.rules.hyperparameters import Epsilon, Flag, Fraction, Momentum, Rate


@rule(
    paper="Tieleman & Hinton 2012, Coursera lecture 6.5; centered: Graves 2013, arXiv:1308.0850",
    drop_in="RMSprop(lr, alpha, eps, weight_decay, momentum, centered)",
    rates=(1e-5, 1e-1),
)
def rmsprop(
    g, p, square_avg: Zeros, momentum_buffer: Zeros, grad_avg: Zeros, t, *,
    lr: Rate = 1e-2, alpha: Fraction = 0.99, eps: Epsilon = 1e-8, momentum: Momentum = 0.0, centered: Flag = False,
):  # fmt: skip
    """RMSprop.

        v ← α·v + (1 - α)·g²
        δ = g / (√v + ε)           (centered: v - ḡ² for v, where ḡ ← α·ḡ + (1 - α)·g)
        b ← μ·b + δ                (with momentum)
        p ← p - lr·b               (without: p - lr·δ)

    Keras puts ε inside the root and lr inside the buffer. torch lets rounding make v - ḡ² negative, hence NaN;
    here it stops at 0.
    """
    square_avg = alpha * square_avg + (1 - alpha) * g * g
    variance = square_avg
    if centered:
        grad_avg = alpha * grad_avg + (1 - alpha) * g
        variance = maximum(square_avg - grad_avg * grad_avg, 0.0)
    update = g / (sqrt(variance) + eps)
    if momentum is not None:
        update = momentum_buffer = momentum * momentum_buffer + update
    return lr * update, square_avg, momentum_buffer, grad_avg
