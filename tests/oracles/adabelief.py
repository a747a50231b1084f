"""AdaBelief.

Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris, Duncan 2020, "AdaBelief Optimizer: Adapting Stepsizes by
the Belief in Observed Gradients" (arXiv:2010.07468), Algorithm 2, with the bias correction that its text describes.
The deviation is from the mean that already holds the gradient; epsilon is added to s at every step, and once more
to the root.

Departures: nothing is projected, no maximum is taken, and the package's rectification is left out.
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
    eps: float = 1e-16,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    s = np.zeros_like(theta)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m = beta1 * m + (1.0 - beta1) * g
        s = beta2 * s + (1.0 - beta2) * (g - m) ** 2 + eps
        m_hat = m / (1.0 - beta1**t)
        s_hat = s / (1.0 - beta2**t)
        theta = theta - alpha * m_hat / (np.sqrt(s_hat) + eps)
        history.append(theta)
    return np.array(history)
