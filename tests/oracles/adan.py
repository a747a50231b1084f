"""Adan.

Xie, Zhou, Li, Lin, Yan 2022, "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models"
(arXiv:2208.06677), Algorithm 1. Its beta are the weights of what is new, here 1 - beta.

Departures, those of the authors' package: all three averages start at 0 and are corrected for bias instead of
starting from the first gradient, and epsilon stands outside the root. Departures of ours: there is no restart, and
the decay beside the rule shrinks the parameter before the step (the package's no_prox), where the paper divides by
1 + rate * decay after it.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta1: float = 0.98,
    beta2: float = 0.92,
    beta3: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    n = np.zeros_like(theta)
    last = None
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        difference = np.zeros_like(g) if last is None else g - last
        last = g
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * difference
        n = beta3 * n + (1.0 - beta3) * (g + beta2 * difference) ** 2
        m_hat = m / (1.0 - beta1**t)
        v_hat = v / (1.0 - beta2**t)
        n_hat = n / (1.0 - beta3**t)
        theta = theta - alpha / (np.sqrt(n_hat) + eps) * (m_hat + beta2 * v_hat)
        history.append(theta)
    return np.array(history)
