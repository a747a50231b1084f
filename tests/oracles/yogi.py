"""Yogi.

Zaheer, Reddi, Sachan, Kale, Kumar 2018, "Adaptive Methods for Nonconvex Optimization" (NeurIPS 31), Algorithm 2;
learning rate 1e-2 and epsilon 1e-3 are those of its experiments.

Departures, those of Optax: both moments are corrected for bias as Adam's are, though the second starts at
initial_accumulator_value (1e-6; the paper starts it from gradients at the first point). Unlike Optax's, the first
moment starts at 0, as the paper's does; Optax fills both with the initial accumulator value (`optax.scale_by_yogi`).
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
    eps: float = 1e-3,
    initial_accumulator_value: float = 1e-6,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    v = np.full_like(theta, initial_accumulator_value)
    if convention == "optax":
        m = v.copy()
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m = beta1 * m + (1.0 - beta1) * g
        v = v - (1.0 - beta2) * np.sign(v - g**2) * g**2
        m_hat = m / (1.0 - beta1**t)
        v_hat = v / (1.0 - beta2**t)
        theta = theta - alpha * m_hat / (np.sqrt(v_hat) + eps)
        history.append(theta)
    return np.array(history)
