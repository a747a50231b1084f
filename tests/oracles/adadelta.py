"""Adadelta.

Zeiler 2012, "ADADELTA: An Adaptive Learning Rate Method" (arXiv:1212.5701), Algorithm 1.

Departure of torch from the paper: the paper has no learning rate; torch applies one last, so the accumulated
squared updates are the unscaled ones. Epsilon stands inside both roots in both.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    mean_g2 = np.zeros_like(theta)
    mean_dx2 = np.zeros_like(theta)
    history = []
    for gradient, eta in zip(gradients, rates, strict=True):
        theta, g = prepare(theta, gradient, eta, weight_decay, decoupled_weight_decay, maximize)
        mean_g2 = rho * mean_g2 + (1.0 - rho) * g**2
        rms_g = np.sqrt(mean_g2 + eps)
        rms_dx = np.sqrt(mean_dx2 + eps)
        dx = -(rms_dx / rms_g) * g
        mean_dx2 = rho * mean_dx2 + (1.0 - rho) * dx**2
        theta = theta + eta * dx
        history.append(theta)
    return np.array(history)
