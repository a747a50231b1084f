"""Adadelta: updates in the units of the parameter."""

from thalweg.numerics import sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Epsilon, Fraction, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Zeiler 2012, arXiv:1212.5701",
    when="Where no learning rate is known: 1 is a fair start, since updates come in the parameter's own units.",
    family="coordinate",
    purpose="no learning rate known: 1 is a fair start",
    drop_in="Adadelta(lr, rho, eps, weight_decay, foreach)",
    rates=(1e-2, 1e2),
    conventions={"keras": {"lr": 1e-3, "rho": 0.95, "eps": 1e-7}, "optax": {}, "paper": {"rho": 0.95}},
)
def adadelta(g, p, square_avg: Zeros, acc_delta: Zeros, t, *, lr: Rate = 1.0, rho: Fraction = 0.9, eps: Epsilon = 1e-6):
    """Adadelta.

    v ← ρ·v + (1 - ρ)·g²
    δ = √(u + ε) / √(v + ε) · g
    u ← ρ·u + (1 - ρ)·δ²
    p ← p - lr·δ
    """
    square_avg = rho * square_avg + (1 - rho) * g * g
    delta = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * g
    acc_delta = rho * acc_delta + (1 - rho) * delta * delta
    return lr * delta, square_avg, acc_delta
