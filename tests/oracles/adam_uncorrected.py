"""Adam without the two bias corrections.

Kingma, Ba 2015, "Adam: A Method for Stochastic Optimization" (arXiv:1412.6980), Algorithm 1 with m and v in place of
the corrected moments, as the code of Devlin et al. 2018 (arXiv:1810.04805) has it; epsilon 1e-6 is that code's.
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
    first = np.zeros_like(theta)
    second = np.zeros_like(theta)
    history = []
    for gradient, alpha in zip(gradients, rates, strict=True):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        first += (1.0 - beta1) * (g - first)
        second += (1.0 - beta2) * (g * g - second)
        theta = theta - alpha * (first / (np.sqrt(second) + eps))
        history.append(theta)
    return np.array(history)
