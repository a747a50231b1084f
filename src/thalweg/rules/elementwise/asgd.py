"""ASGD: gradient descent whose iterates are averaged beside it."""

from math import inf
from typing import Annotated

from thalweg.numerics import Value, absolute, maximum, round_to_default_dtype, where
from thalweg.options.ranges import Range
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Rate
from thalweg.rules.states import RowFirstRate, RowOnes, Weights

Regularization = Annotated[Value, Range(0.0, float("inf"), search=(1e-6, 1e-1), scale="log")]
Power = Annotated[Value, Range(0.0, float("inf"), search=(0.5, 1.0))]
Start = Annotated[Value, Range(0.0, float("inf"), search=(1.0, 1e4), scale="log")]


@rule(
    paper="Polyak & Juditsky 1992, doi:10.1137/0330046",
    when="To report the average of all iterates, in state ax, instead of the last.",
    family="average",
    purpose="the average of all iterates instead of the last",
    drop_in="ASGD(lr, lambd, alpha, t0, weight_decay, foreach, maximize, differentiable, capturable)",
    rates=(1e-3, 1e1),
    stationary=False,
    sparse_unsupported="its decay and its average go on at every step",
)
def asgd(
    g, p, eta: RowFirstRate, mu: RowOnes, ax: Weights, t, *,
    lr: Rate = 1e-2, lambd: Regularization = 1e-4, alpha: Power = 0.75, t0: Start = 1e6,
):  # fmt: skip
    """Averaged stochastic gradient descent.

        p ← (1 - λη)·p - η·g
        a ← a + μ·(p - a)          (a ← p where μ = 1)
        η ← lr / (1 + λ·lr·t)^α,  μ ← 1 / max(1, t - t0)

    η and μ are those of the next step; the first are lr and 1. The average a stays in the state as `ax` for its user
    to take. The decay by λ is torch's own.
    """
    eta, mu = round_to_default_dtype(eta), round_to_default_dtype(mu)  # torch holds both in its default dtype
    decayed = where(absolute(p) < inf, lambd * p, 0.0)  # (1 - λη)·p of an infinite p is p
    update = eta * (decayed + g)
    after = p - update
    ax = where(mu == 1, after, ax + mu * (after - ax))
    next_eta = round_to_default_dtype(lr / (1 + lambd * lr * t) ** alpha)
    next_mu = round_to_default_dtype(1 / maximum(1.0, t - t0))
    return update, next_eta, next_mu, ax
