"""Averaged stochastic gradient descent, as torch computes it. What is returned are the iterates, not their average.

Polyak, Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging", equation 2 for the iterates, with the
step sizes of Bottou's `asgd` (Xu 2011, arXiv:1107.2490): eta_t = eta_0 (1 + lambda eta_0 t)^-alpha, and its decay by
lambda.

Departures of torch: the step size is that which the step before left behind, in torch's default dtype (rate_dtype), and
follows the learning rate of that step; the first is the learning rate itself.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    lambd: float = 1e-4,
    alpha: float = 0.75,
    t0: float = 1e6,
    rate_dtype: type[np.floating] = np.float32,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    eta = float(rate_dtype(rates[0]))
    history = []
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, rate, weight_decay, decoupled_weight_decay, maximize)
        theta = theta - eta * lambd * theta - eta * g
        eta = float(rate_dtype(rate * (1.0 + lambd * rate * t) ** -alpha))
        history.append(theta)
    return np.array(history)
