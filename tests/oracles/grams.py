"""Grams.

Cao, Li, Song 2024, "Grams: Gradient Descent with Adaptive Momentum Scaling" (arXiv:2412.17107), the algorithm Grams:
the direction is the gradient's sign, the size that of Adam's step, and the sign of 0 is 0.

Epsilon stands beside the corrected root; the authors' package adds it before the correction.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g**2
        m_hat = m / (1.0 - beta1**t)
        v_hat = v / (1.0 - beta2**t)
        u = m_hat / (np.sqrt(v_hat) + eps)
        theta = theta - alpha * np.sign(g) * np.abs(u)
        history.append(theta)
    return np.array(history)
