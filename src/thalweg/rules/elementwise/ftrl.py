"""FTRL-Proximal: each weight is what minimizes all its past linear losses, kept small and sparse."""

from typing import Literal

from thalweg.numerics import absolute, sign, sqrt, where
from thalweg.rules.contract import rule
from thalweg.rules.conversions import Converted, Values
from thalweg.rules.hyperparameters import NonNegative, Rate
from thalweg.rules.states import InitialAccumulator, Zeros


def _moved(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
    return {**values, "l2": values["l2"] / 2 if target == "keras" else 2 * values["l2"]}


@rule(
    paper="McMahan et al. 2013, KDD, doi:10.1145/2487575.2488200",
    when="For linear models of sparse features, such as click prediction; never for networks, whose start it forgets.",
    family="coordinate",
    purpose="linear models of sparse features; never networks",
    momentum=None,
    drop_in="Ftrl(lr, initial_accumulator_value, l1, l2, beta, weight_decay)",
    rates=(1e-3, 1e1),
    scale_free=True,
    conventions={"keras": {}},
    argument_names={"keras": {"l1": "l1_regularization_strength", "l2": "l2_regularization_strength"}},
    move=_moved,
    stationary=False,
)
def ftrl(
    g, p, sum: InitialAccumulator, linear: Zeros, t, *,
    lr: Rate = 1e-3, initial_accumulator_value: NonNegative = 0.1,
    l1: NonNegative = 0.0, l2: NonNegative = 0.0, beta: NonNegative = 0.0,
    convention: Literal["torch", "keras"] = "torch",
):  # fmt: skip
    """FTRL-Proximal with per-coordinate rates.

        z ← z + g - (√(n + g²) - √n)/lr · p
        n ← n + g²
        p ← 0 where |z| ≤ λ1,  else -(z - sign(z)·λ1) / ((β + √n)/lr + λ2)

    p follows from z and n alone, so whatever it began at, other than 0, is forgotten at the first step; so it is in
    Keras, which doubles λ2, as convention="keras" does, and lets the power of n be other than ½. For the same reason
    weight_decay hardly shrinks it: λ2 does. The paper starts n at 0 and suggests β = 1.
    """
    moving = lr > 0  # no step at a rate of 0, where a schedule may end: the parameter would be 0
    rate = where(moving, lr, 1.0)
    total = sum + g * g
    growth = where(total > 0, g * g / (sqrt(total) + sqrt(sum)), 0.0)  # of the root, which a difference would round off
    linear = linear + where(moving, g - growth / rate * p, 0.0)
    strength = (beta + sqrt(total)) / rate + (2 * l2 if convention == "keras" else l2)
    after = where(absolute(linear) <= l1, 0.0, (sign(linear) * l1 - linear) / strength)
    return where(moving, p - after, 0.0), total, linear
