"""ADOPT.

Taniguchi, Harada, Minegishi, Oshima, Jeong, Nagahara, Iiyama, Suzuki, Iwasawa, Matsuo 2024, "ADOPT: Modified Adam Can
Converge with Any beta2 with the Optimal Rate" (arXiv:2411.02853), the algorithm ADOPT, and with clipped=True its
clipped form, whose limit at the k-th update is k^(1/4). The gradient before the first update only gives v_0, so step t
here is update t - 1.

Departure: decoupled decay shrinks the parameter at every step, the first included.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta1: float = 0.9,
    beta2: float = 0.9999,
    eps: float = 1e-6,
    clipped: bool = True,
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
        if t == 1:
            v = g**2
        else:
            normalized = g / np.maximum(np.sqrt(v), eps)
            if clipped:
                bound = (t - 1) ** 0.25
                normalized = np.clip(normalized, -bound, bound)
            m = beta1 * m + (1.0 - beta1) * normalized
            theta = theta - alpha * m
            v = beta2 * v + (1.0 - beta2) * g**2
        history.append(theta)
    return np.array(history)
