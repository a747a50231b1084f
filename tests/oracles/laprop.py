"""LaProp.

Ziyin, Wang, Ueda 2020, "LaProp: Separating Momentum and Adaptivity in Adam" (arXiv:2002.04839), Algorithm 1: mu and nu
are beta1 and beta2, c_m and c_n the bias corrections. Epsilon stands outside the root, as in the authors' package.
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
    eps: float = 1e-15,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    n = np.zeros_like(theta)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        n = beta2 * n + (1.0 - beta2) * g**2
        c_n = 1.0 - beta2**t
        c_m = 1.0 - beta1**t
        m = beta1 * m + (1.0 - beta1) * g / (np.sqrt(n / c_n) + eps)
        theta = theta - alpha * m / c_m
        history.append(theta)
    return np.array(history)
