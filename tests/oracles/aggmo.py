"""Aggregated momentum.

Lucas, Sun, Zemel, Grosse 2018, "Aggregated Momentum: Stability Through Passive Damping" (arXiv:1804.00325), its
update rule, with its default damping vector [0, 0.9, 0.99]. Velocities start at 0 and point downhill, as in the paper.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta1: float = 0.0,
    beta2: float = 0.9,
    beta3: float = 0.99,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    betas = (beta1, beta2, beta3)
    theta = parameter.astype(np.float64)
    velocities = [np.zeros_like(theta) for _ in betas]
    history = []
    for gradient, gamma in zip(gradients, rates, strict=True):
        theta, g = prepare(theta, gradient, gamma, weight_decay, decoupled_weight_decay, maximize)
        velocities = [beta * v - g for beta, v in zip(betas, velocities, strict=True)]
        theta = theta + gamma / len(betas) * np.sum(velocities, axis=0)
        history.append(theta)
    return np.array(history)
