"""NosAdam.

Huang, Wang, Dong 2018, "Nostalgic Adam: Weighting more of the past gradients when designing the adaptive learning
rate" (arXiv:1805.07557), the algorithm NosAdam with b_k = k^-gamma (NosAdam-HH): v_t is the average of all squared
gradients, weighted by b_k.

Departures: epsilon is added to the root, and nothing is projected.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta1: float = 0.9,
    gamma: float = 0.1,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    weighted = np.zeros_like(theta)
    total = 0.0
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m = beta1 * m + (1.0 - beta1) * g
        b = t**-gamma
        weighted = weighted + b * g**2
        total = total + b
        v = weighted / total
        theta = theta - alpha * m / (np.sqrt(v) + eps)
        history.append(theta)
    return np.array(history)
