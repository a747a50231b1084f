"""Schedule-free AdamW.

Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky 2024, "The Road Less Scheduled" (arXiv:2405.15682), Algorithm 1,
without its warm-up, which is a schedule of the rate. What is returned is y, where gradients are taken; decay is the
paper's, at y.

Departure: the composed step's own weight decay, which the paper does not have. Coupled, it is added to the gradient at
y; decoupled, it shrinks y beside the rule, and x with it, since y and z determine x.

Optax (`optax.contrib.schedule_free_adamw`) and Keras 3 (`keras.optimizers.ScheduleFreeAdamW`) take Adam's own second
moment, corrected for bias, and a plain rate; Optax's c is of squared rates (of the largest so far, here constant or
rising), Keras's is 1/t. Keras shrinks y before the step reads it; that its first z is not shrunk is left out.
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
    decay: float = 0.0,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    x = z = theta
    v = np.zeros_like(theta)
    weights = 0.0
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        y, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        if t == 1:
            x = z = y
        else:
            x = (y - (1.0 - beta1) * z) / beta1
        v = beta2 * v + (1.0 - beta2) * g**2
        if convention == "torch":
            gamma = alpha * np.sqrt(1.0 - beta2**t)
            z = z - gamma * g / (np.sqrt(v) + eps) - gamma * decay * y
            weights += gamma**2
            c = gamma**2 / weights
        else:
            z = z - alpha * (g / (np.sqrt(v / (1.0 - beta2**t)) + eps) + decay * y)
            weights += alpha**2
            c = 1.0 / t if convention == "keras" else alpha**2 / weights
        x = (1.0 - c) * x + c * z
        theta = (1.0 - beta1) * z + beta1 * x
        history.append(theta)
    return np.array(history)
