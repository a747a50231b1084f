"""AdaBound and AMSBound, as the authors' package `adabound` 0.0.5 computes them (torch has neither).

Luo, Xiong, Liu, Sun 2019, "Adaptive Gradient Methods with Dynamic Bound of Learning Rate" (arXiv:1902.09843),
Algorithms 2 and 3; the bounds are those of the paper's experiments, with gamma for its 1 - beta2.

Departures of the package from the paper: the step is corrected for bias before it is clipped, the clipped
step is not divided by sqrt(t), epsilon is added to the root, nothing is projected, and the bounds follow the
learning rate's schedule through final_lr * rate / base rate. The convention "paper" undoes all but epsilon and
the projection.
"""

import math

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    final_lr: float = 0.1,
    gamma: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    amsbound: bool = False,
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
        v_max = np.maximum(v_max, v)
        if convention == "paper":
            low, high = final_lr - final_lr / (gamma * t + 1.0), final_lr + final_lr / (gamma * t)
            eta = np.clip(alpha / (np.sqrt(v_max if amsbound else v) + eps), low, high) / math.sqrt(t)
            theta = theta - eta * m
            history.append(theta)
            continue
        corrected = alpha * math.sqrt(1.0 - beta2**t) / (1.0 - beta1**t)
        final = final_lr * alpha / rates[0]
        lower = final * (1.0 - 1.0 / (gamma * t + 1.0))
        upper = final * (1.0 + 1.0 / (gamma * t))
        eta = np.clip(corrected / (np.sqrt(v_max if amsbound else v) + eps), lower, upper)
        theta = theta - eta * m
        history.append(theta)
    return np.array(history)
