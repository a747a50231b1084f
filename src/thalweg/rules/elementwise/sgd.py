"""Stochastic gradient descent, with heavy-ball and Nesterov momentum."""

from collections.abc import Mapping
from typing import Any, Literal

from thalweg.numerics import where
from thalweg.rules.contract import preset, rule
from thalweg.rules.conversions import rate_inside
from thalweg.rules.hyperparameters import Flag, Fraction, Momentum, Rate
from thalweg.rules.states import Zeros


def _contradiction(values: Mapping[str, Any]) -> str:
    needs = values["nesterov"] and (values["momentum"] == 0 or values["dampening"] != 0)
    return "nesterov=True needs a momentum above 0 and a dampening of 0" if needs else ""


@rule(
    paper="Robbins & Monro 1951, doi:10.1214/aoms/1177729586",
    when="As the baseline that everything must beat, and with a schedule where memory is short.",
    family="momentum",
    purpose="the baseline; with a schedule where memory is short",
    drop_in="SGD(lr, momentum, dampening, weight_decay, nesterov)",
    rates=(1e-3, 1e1),
    counts_steps=False,
    contradiction=_contradiction,
    conventions={"keras": {"lr": 1e-2}, "optax": {}, "paper": {}},
    move=rate_inside,
    every_row_with="momentum",
)
def sgd(
    g, p, momentum_buffer: Zeros, t, *,
    lr: Rate = 1e-3, momentum: Momentum = 0.0, dampening: Fraction = 0.0, nesterov: Flag = False,
    convention: Literal["torch", "keras", "paper"] = "torch",
):  # fmt: skip
    """Stochastic gradient descent.

        b ← μ·b + (1 - d)·g        (b ← g at the first step)
        p ← p - lr·b               (nesterov: p - lr·(g + μ·b))

    Keras and the papers keep lr inside the buffer, b ← μ·b + lr·g and p ← p - b, which differs once the rate changes.
    """
    if momentum is None:
        return lr * g, momentum_buffer
    inside, outside = (1.0, lr) if convention == "torch" else (lr, 1.0)
    share = where(t == 1, 1.0, 1 - dampening)  # torch's first buffer is the gradient itself
    momentum_buffer = momentum * momentum_buffer + inside * share * g
    direction = inside * g + momentum * momentum_buffer if nesterov else momentum_buffer
    return outside * direction, momentum_buffer


momentum = preset(
    sgd, "momentum", "Gradient descent with heavy-ball momentum.",
    when="For convolutional networks with a learning-rate schedule: the setting of most vision papers.",
    purpose="convolutional networks with a schedule",
    paper="Polyak 1964, doi:10.1016/0041-5553(64)90137-5", momentum=0.9,
)  # fmt: skip
nesterov = preset(
    sgd, "nesterov", "Gradient descent with Nesterov's momentum.",
    when="As momentum, where a little more stability at high rates is wanted.",
    purpose="a little more stability at high rates",
    paper="Sutskever et al. 2013, ICML", momentum=0.9, nesterov=True,
)  # fmt: skip
