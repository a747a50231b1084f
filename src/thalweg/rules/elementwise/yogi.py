"""Yogi: Adam whose second moment moves by the square of the gradient, whichever way."""

from typing import Literal

from thalweg.numerics import sign, sqrt, where
from thalweg.rules.contract import rule
from thalweg.rules.conversions import only_at_zero
from thalweg.rules.hyperparameters import Decay, Epsilon, NonNegative, Rate
from thalweg.rules.states import InitialAccumulator, Zeros


@rule(
    paper="Zaheer et al. 2018, NeurIPS 31",
    when="As Adam where gradients are rare or their size changes: the second moment grows slowly.",
    family="adam",
    purpose="rare gradients, or of changing size",
    drop_in="Yogi(lr, betas, eps, initial_accumulator_value, weight_decay)",
    rates=(1e-4, 1.0),
    scale_free=True,
    conventions={"optax": {}},
    move=only_at_zero("initial_accumulator_value", "Optax starts the first moment at that value, too"),
)
def yogi(
    g, p, exp_avg: Zeros, exp_avg_sq: InitialAccumulator, t, *,
    lr: Rate = 1e-2, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-3,
    initial_accumulator_value: NonNegative = 1e-6, convention: Literal["torch", "optax"] = "torch",
):  # fmt: skip
    """Yogi.

        m ← β1·m + (1 - β1)·g
        v ← v - (1 - β2)·sign(v - g²)·g²     (v starts at the initial accumulator value)
        p ← p - lr · m/(1 - β1ᵗ) / (√(v/(1 - β2ᵗ)) + ε)

    The paper does not correct for bias; the correction is Optax's, which also starts m at the accumulator's value, as
    torch-optimizer does: there convention="optax" does. TensorFlow Addons adds ε before the correction.
    """
    if convention == "optax":
        exp_avg = where(t == 1, initial_accumulator_value, exp_avg)
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    square = g * g
    exp_avg_sq = exp_avg_sq - (1 - beta2) * sign(exp_avg_sq - square) * square
    return lr * (exp_avg / (1 - beta1**t)) / (sqrt(exp_avg_sq) / sqrt(1 - beta2**t) + eps), exp_avg, exp_avg_sq
