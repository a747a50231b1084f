"""AdaMod.

Ding, Ren, Luo, Sun 2019, "An Adaptive and Momental Bound Method for Stochastic Learning" (arXiv:1910.12249),
Algorithm 1: the bound smooths the rates of the elements, which know nothing of the first moment's correction. The
paper's package differs there; this follows the paper.
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
    beta3: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    s = np.zeros_like(theta)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g**2
        m_hat = m / (1.0 - beta1**t)
        v_hat = v / (1.0 - beta2**t)
        eta = alpha / (np.sqrt(v_hat) + eps)
        s = beta3 * s + (1.0 - beta3) * eta
        eta_hat = np.minimum(eta, s)
        theta = theta - eta_hat * m_hat
        history.append(theta)
    return np.array(history)
