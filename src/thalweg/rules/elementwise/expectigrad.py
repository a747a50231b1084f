"""Expectigrad: gradients divided by the root of the mean of all their squares, then averaged."""

from thalweg.numerics import absolute, maximum, sign, sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Daley & Amato 2020, arXiv:2010.01356",
    when="Where Adam's forgetting second moment is to blame: it keeps the mean of all squares.",
    family="coordinate",
    purpose="Adam with the mean of all squares, none forgotten",
    drop_in="Expectigrad(lr, beta, eps, weight_decay)",
    rates=(1e-5, 1e-1),
    scale_free=True,
)
def expectigrad(
    g, p, exp_avg: Zeros, sum: Zeros, count: Zeros, t, *,
    lr: Rate = 1e-3, beta: Decay = 0.9, eps: Epsilon = 1e-8,
):  # fmt: skip
    """Expectigrad.

        s ← s + g²,  n ← n + |sign(g)|     (n counts the gradients that were not 0)
        m ← β·m + (1 - β)·g / (√(s/n) + ε)
        p ← p - lr · m/(1 - βᵗ)

    The authors' package counts all steps with sparse_counter=False.
    """
    sum = sum + g * g
    count = count + absolute(sign(g))
    exp_avg = beta * exp_avg + (1 - beta) * g / (sqrt(sum / maximum(count, 1.0)) + eps)
    return lr / (1 - beta**t) * exp_avg, exp_avg, sum, count
