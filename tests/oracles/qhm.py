"""QHM, the quasi-hyperbolic momentum algorithm.

Ma, Yarats 2018, "Quasi-hyperbolic momentum and Adam for deep learning" (arXiv:1810.06801), equations 3 and 4, with the
nu = 0.7 and beta = 0.999 that it recommends. The buffer starts at 0 and is not corrected for bias.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    momentum: float = 0.999,
    nu: float = 0.7,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    buffer = np.zeros_like(theta)
    history = []
    for gradient, alpha in zip(gradients, rates, strict=True):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        buffer = momentum * buffer + (1.0 - momentum) * g
        theta = theta - alpha * ((1.0 - nu) * g + nu * buffer)
        history.append(theta)
    return np.array(history)
