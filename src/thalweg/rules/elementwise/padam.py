"""Padam: Adam whose second moment counts only in part."""

from typing import Annotated

from thalweg.numerics import Value, maximum, power, sqrt
from thalweg.options.ranges import Range
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Flag, Rate
from thalweg.rules.states import Zeros

Partial = Annotated[Value, Range(0.0, 0.5, search=(0.0625, 0.4))]


@rule(
    paper="Chen & Gu 2018, arXiv:1806.06763",
    when="Between momentum and Adam, to generalize as the one and move as the other.",
    family="adam",
    purpose="between momentum and Adam",
    drop_in="Padam(lr, betas, eps, weight_decay, amsgrad, partial)",
    rates=(1e-3, 1e1),
)
def padam(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, max_exp_avg_sq: Zeros, t, *,
    lr: Rate = 0.1, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-8, amsgrad: Flag = True,
    partial: Partial = 0.125,
):  # fmt: skip
    """Padam.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·g²     (amsgrad: the largest v so far stands for v below)
        p ← p - lr·√(1 - β2ᵗ)/(1 - β1ᵗ) · m / (√v + ε)^(2·partial)

    partial = ½ is AMSGrad with ε before the correction of bias, 0 is momentum. The paper corrects no bias and has no
    ε; both are its authors' code, whose partial is ¼ by default. The paper's is ⅛.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    second = exp_avg_sq
    if amsgrad:
        second = max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq)
    rate = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
    return rate * exp_avg / power(sqrt(second) + eps, 2 * partial), exp_avg, exp_avg_sq, max_exp_avg_sq
