"""Expectigrad.

Daley, Amato 2020, "Expectigrad: Fast Stochastic Optimization with Robust Convergence Properties" (arXiv:2010.01356),
the algorithm Expectigrad: an arithmetic mean of the squares over the gradients that were not 0, and momentum outside
of it, corrected for bias. Where no gradient was other than 0 yet, the mean is 0.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta: float = 0.9,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    s = np.zeros_like(theta)
    n = np.zeros_like(theta)
    m = np.zeros_like(theta)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        s = s + g**2
        n = n + (g != 0)
        mean = np.divide(s, n, out=np.zeros_like(s), where=n > 0)
        m = beta * m + (1.0 - beta) * g / (eps + np.sqrt(mean))
        theta = theta - alpha / (1.0 - beta**t) * m
        history.append(theta)
    return np.array(history)
