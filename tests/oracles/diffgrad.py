"""diffGrad.

Dubey, Chakraborty, Roy, Mukherjee, Singh, Chaudhuri 2019, "diffGrad: An Optimization Method for Convolutional Neural
Networks" (arXiv:1909.11015), the update with the friction coefficient AbsSig of the change of the gradient. The
gradient before the first is 0. Epsilon stands beside the corrected root, as in the paper's equation.
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
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    before = np.zeros_like(theta)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g**2
        xi = 1.0 / (1.0 + np.exp(-np.abs(before - g)))
        before = g
        m_hat = m / (1.0 - beta1**t)
        v_hat = v / (1.0 - beta2**t)
        theta = theta - alpha * xi * m_hat / (np.sqrt(v_hat) + eps)
        history.append(theta)
    return np.array(history)
