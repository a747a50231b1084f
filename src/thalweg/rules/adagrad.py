"""Adagrad: rates that shrink with the sum of squared gradients."""

from thalweg.numerics import sqrt
from thalweg.rules.contract import InitialAccumulator, rule
from thalweg.rules.hyperparameters import Epsilon, NonNegative, Rate


@rule(
    paper="Duchi, Hazan & Singer 2011, JMLR 12",
    drop_in="Adagrad(lr, lr_decay, weight_decay, initial_accumulator_value, eps)",
    rates=(1e-4, 1.0),
)
def adagrad(
    g, p, sum: InitialAccumulator, t, *,
    lr: Rate = 1e-2, lr_decay: NonNegative = 0.0, initial_accumulator_value: NonNegative = 0.0, eps: Epsilon = 1e-10,
):  # fmt: skip
    """Adagrad.

        s ← s + g²
        p ← p - lr / (1 + (t - 1)·lr_decay) · g / (√s + ε)

    Keras and Optax start s at 0.1 and put ε inside the root.
    """
    sum = sum + g * g
    return lr / (1 + (t - 1) * lr_decay) * g / (sqrt(sum) + eps), sum
