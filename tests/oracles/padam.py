"""Padam.

Chen, Zhou, Tang, Yang, Cao, Gu 2018, "Closing the Generalization Gap of Adaptive Gradient Methods in Training Deep
Neural Networks" (arXiv:1806.06763), the algorithm Padam; learning rate 0.1 and power 1/8 are those of its experiments.

Departures: epsilon is added to the power of the maximum, and nothing is projected.
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
    partial: float = 0.125,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    v_hat = np.zeros_like(theta)
    history = []
    for gradient, alpha in zip(gradients, rates, strict=True):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g**2
        v_hat = np.maximum(v_hat, v)
        theta = theta - alpha * m / (np.power(v_hat, partial) + eps)
        history.append(theta)
    return np.array(history)
