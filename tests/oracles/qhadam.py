"""QHAdam.

Ma, Yarats 2018, "Quasi-hyperbolic momentum and Adam for deep learning" (arXiv:1810.06801), Section 4 (the update of
QHAdam). Epsilon stands outside the root, as in the paper. The paper sets no one default; 0.7, 1, 0.995 and 0.999 are
what the authors' package recommends.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta1: float = 0.995,
    beta2: float = 0.999,
    nu1: float = 0.7,
    nu2: float = 1.0,
    eps: float = 1e-8,
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
        numerator = (1.0 - nu1) * g + nu1 * m_hat
        denominator = np.sqrt((1.0 - nu2) * g**2 + nu2 * v_hat) + eps
        theta = theta - alpha * numerator / denominator
        history.append(theta)
    return np.array(history)
