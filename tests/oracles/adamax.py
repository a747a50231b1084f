"""AdaMax.

Kingma, Ba 2015, "Adam: A Method for Stochastic Optimization" (arXiv:1412.6980), Algorithm 2.

Departure of torch from the paper: the paper has no epsilon; torch adds one to |g| inside the maximum, Keras 3
(`keras.optimizers.Adamax`) to the maximum itself when it divides.
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
    convention: str = "torch",
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    u = np.zeros_like(theta)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m = beta1 * m + (1.0 - beta1) * g
        if convention == "keras":
            u = np.maximum(beta2 * u, np.abs(g))
            theta = theta - (alpha * m) / ((1.0 - beta1**t) * (u + eps))
        else:
            u = np.maximum(beta2 * u, np.abs(g) + eps)
            theta = theta - alpha / (1.0 - beta1**t) * m / u
        history.append(theta)
    return np.array(history)
