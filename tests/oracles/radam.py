"""RAdam.

Liu, Jiang, He, Chen, Liu, Gao, Han 2020, "On the Variance of the Adaptive Learning Rate and Beyond"
(arXiv:1908.03265), Algorithm 2.

Departures of torch from the paper: the step is rectified when rho_t > 5 (the paper: rho_t > 4), and epsilon,
which the paper's algorithm lacks, is added to the root of the uncorrected second moment. Optax
(`optax.radam`) rectifies when rho_t >= 5 and adds epsilon to the root of the corrected one.
"""

import math

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
    v = np.zeros_like(theta)
    rho_inf = 2.0 / (1.0 - beta2) - 1.0
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g**2
        m_hat = m / (1.0 - beta1**t)
        rho = rho_inf - 2.0 * t * beta2**t / (1.0 - beta2**t)
        if rho > 4.0 if convention == "paper" else rho >= 5.0 if convention == "optax" else rho > 5.0:
            adaptive = math.sqrt(1.0 - beta2**t) / (np.sqrt(v) + eps)
            if convention == "optax":
                adaptive = 1.0 / (np.sqrt(v / (1.0 - beta2**t)) + eps)
            r = math.sqrt((rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho))
            theta = theta - alpha * r * m_hat * adaptive
        else:
            theta = theta - alpha * m_hat
        history.append(theta)
    return np.array(history)
