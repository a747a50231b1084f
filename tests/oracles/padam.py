"""Padam, partially adaptive momentum estimation.

Chen, Gu 2018, "Closing the Generalization Gap of Adaptive Gradient Methods in Training Deep Neural Networks"
(arXiv:1806.06763), Algorithm 1, whose p is `partial`.

Departures of the authors' code from the paper: the step is corrected for bias, epsilon is added to the root before
it is raised to 2p, and the maximum is a choice.
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
    amsgrad: bool = True,
    partial: float = 0.125,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
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
        v_max = np.maximum(v_max, v)
        denominator = (np.sqrt(v_max if amsgrad else v) + eps) ** (2.0 * partial)
        theta = theta - alpha * math.sqrt(1.0 - beta2**t) / (1.0 - beta1**t) * m / denominator
        history.append(theta)
    return np.array(history)
