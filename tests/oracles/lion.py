"""Lion.

Chen, Liang, Huang, Real et al. 2023, "Symbolic Discovery of Optimization Algorithms" (arXiv:2302.06675),
Algorithm 2 and Program 1.

The paper's decay stands inside the step, eta (sign(c) + lambda theta), which is decoupled decay of the same parameter.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = True,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    history = []
    for gradient, eta in zip(gradients, rates, strict=True):
        theta, g = prepare(theta, gradient, eta, weight_decay, decoupled_weight_decay, maximize)
        c = beta1 * m + (1.0 - beta1) * g
        theta = theta - eta * np.sign(c)
        m = beta2 * m + (1.0 - beta2) * g
        history.append(theta)
    return np.array(history)
