"""Adam, and AMSGrad; with decoupled weight decay, AdamW.

Kingma, Ba 2015, "Adam: A Method for Stochastic Optimization" (arXiv:1412.6980), Algorithm 1, which torch
follows. Reddi, Kale, Kumar 2018, "On the Convergence of Adam and Beyond" (arXiv:1904.09237), Algorithm 2.

Departures of torch from AMSGrad's paper: both moments are corrected for bias (the maximum is taken over the
uncorrected second moment and corrected afterwards), epsilon is added, and nothing is projected. Optax takes the
maximum over corrected second moments. Keras 3 (`keras.optimizers.Adam`) follows the efficient form at the end of
section 2 of Adam's paper, alpha_t = alpha sqrt(1 - beta2^t) / (1 - beta1^t) and theta -= alpha_t m / (sqrt(v) + eps).
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
    amsgrad: bool = False,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    v_max = np.zeros_like(theta)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g**2
        v_max = np.maximum(v_max, v / (1.0 - beta2**t) if convention == "optax" else v)
        if convention == "keras":
            alpha_t = alpha * np.sqrt(1.0 - beta2**t) / (1.0 - beta1**t)
            theta = theta - alpha_t * m / (np.sqrt(v_max if amsgrad else v) + eps)
        elif convention == "paper" and amsgrad:
            theta = theta - alpha * m / (np.sqrt(v_max) + eps)
        if convention == "keras" or (convention == "paper" and amsgrad):
            history.append(theta)
            continue
        m_hat = m / (1.0 - beta1**t)
        v_hat = v_max if amsgrad and convention == "optax" else (v_max if amsgrad else v) / (1.0 - beta2**t)
        theta = theta - alpha * m_hat / (np.sqrt(v_hat) + eps)
        history.append(theta)
    return np.array(history)
