"""MADGRAD.

Defazio, Jelassi 2021, "Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient Method for
Stochastic Optimization" (arXiv:2101.11075), Algorithm 1, whose k counts from 0 and whose c is 1 - momentum.

Departure: decoupled decay (the authors' package has it, the paper does not) shrinks the parameter before the step, and
with the first one what the sums are taken off.

Optax (`optax.contrib.madgrad`), as the authors' package, makes lambda of the rate plus epsilon, "for stability".
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    momentum: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    start = theta
    s = np.zeros_like(theta)
    nu = np.zeros_like(theta)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        k = t - 1
        if k == 0:
            start = theta
        stable = alpha + eps if convention == "optax" else alpha
        weight = stable * np.sqrt(k + 1.0)
        s = s + weight * g
        nu = nu + weight * g**2
        z = start - s / (np.cbrt(nu) + eps)
        c = 1.0 - momentum
        theta = (1.0 - c) * theta + c * z
        history.append(theta)
    return np.array(history)
