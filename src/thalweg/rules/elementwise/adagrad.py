"""Adagrad: rates that shrink with the sum of squared gradients."""

from typing import Literal

from thalweg.numerics import sqrt
from thalweg.rules.contract import rule
from thalweg.rules.conversions import BESIDE_ROOT, Converted, Values
from thalweg.rules.hyperparameters import Epsilon, NonNegative, Rate
from thalweg.rules.states import InitialAccumulator


def _moved(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
    """√(s + ε) is √s' + 0 of a sum s' that starts ε higher."""
    if target == "torch":
        start = values["initial_accumulator_value"] + values["eps"]
        return {**values, "initial_accumulator_value": start, "eps": 0.0}
    return values if values["eps"] == 0 or source != "torch" else BESIDE_ROOT


@rule(
    paper="Duchi, Hazan & Singer 2011, JMLR 12",
    when="For sparse features and convex models; in deep networks its rates shrink too early.",
    family="coordinate",
    purpose="sparse features and convex models",
    drop_in="Adagrad(lr, lr_decay, weight_decay, initial_accumulator_value, eps, foreach)",
    rates=(1e-4, 1.0),
    scale_free=True,
    conventions={
        "keras": {"lr": 1e-3, "initial_accumulator_value": 0.1, "eps": 1e-7},
        "optax": {"initial_accumulator_value": 0.1, "eps": 1e-7},
        "paper": {},
    },
    move=_moved,
)
def adagrad(
    g, p, sum: InitialAccumulator, t, *,
    lr: Rate = 1e-2, lr_decay: NonNegative = 0.0, initial_accumulator_value: NonNegative = 0.0, eps: Epsilon = 1e-10,
    convention: Literal["torch", "keras", "optax"] = "torch",
):  # fmt: skip
    """Adagrad.

        s ← s + g²
        p ← p - lr / (1 + (t - 1)·lr_decay) · g / (√s + ε)

    Keras and Optax start s at 0.1 and put ε inside the root, √(s + ε). A param group's own initial_accumulator_value is
    heeded; torch takes the constructor's for all.
    """
    sum = sum + g * g
    root = sqrt(sum) + eps if convention == "torch" else sqrt(sum + eps)
    return lr / (1 + (t - 1) * lr_decay) * g / root, sum
