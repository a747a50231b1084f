"""RMSprop.

Tieleman, Hinton 2012, "Neural Networks for Machine Learning", lecture 6e (a course; no arXiv number, no
algorithm number). The centered form with momentum is Graves 2013, "Generating Sequences With Recurrent Neural
Networks" (arXiv:1308.0850), equations 38 to 41.

Departures of torch from Graves: epsilon stands outside the root, and the learning rate outside the momentum
buffer, which differs once the rate changes. Departure of this file from torch: the centered variance is
clamped at zero, where rounding may make it negative and torch's root then gives NaN.

Keras 3 and Optax (documentation of `keras.optimizers.RMSprop`, `optax.rmsprop`) follow Graves in both.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    mean_g2 = np.zeros_like(theta)
    mean_g = np.zeros_like(theta)
    delta = np.zeros_like(theta)
    history = []
    for gradient, eta in zip(gradients, rates, strict=True):
        theta, g = prepare(theta, gradient, eta, weight_decay, decoupled_weight_decay, maximize)
        mean_g2 = alpha * mean_g2 + (1.0 - alpha) * g**2
        mean_g = alpha * mean_g + (1.0 - alpha) * g
        variance = np.maximum(mean_g2 - mean_g**2, 0.0) if centered else mean_g2
        if convention == "torch":
            delta = momentum * delta + g / (np.sqrt(variance) + eps)
            theta = theta - eta * delta
        else:
            delta = momentum * delta - eta * g / np.sqrt(variance + eps)
            theta = theta + delta
        history.append(theta)
    return np.array(history)
