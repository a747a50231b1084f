"""LARS.

You, Gitman, Ginsburg 2017, "Large Batch Training of Convolutional Networks" (arXiv:1708.03888), Algorithm 1, with a
constant momentum: one tensor is one layer.

Departures: the local rate is 1 where a norm is 0, as in all implementations. timm's, here "torch", adds eps to the
divisor and multiplies the buffer by the global rate, where the paper multiplies what is added to it. Optax divides by
the norm of the gradient with its decay.
"""

import numpy as np

from oracles.norms import norm


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    trust_coefficient: float = 1e-3,
    eps: float = 1e-8,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    w = parameter.astype(np.float64)
    v = np.zeros_like(w)
    history = []
    for gradient, gamma in zip(gradients, rates, strict=True):
        g = -gradient if maximize else gradient
        decayed = g + weight_decay * w
        if convention == "optax":
            length = norm(decayed)
            below = length + eps
        else:
            length = norm(g)
            below = length + weight_decay * norm(w) + eps
        local = trust_coefficient * norm(w) / below if length > 0 and norm(w) > 0 else 1.0
        if convention == "torch":
            step = local * decayed
            v = momentum * v + step
            w = w - gamma * (step + momentum * v if nesterov else v)
        else:
            step = gamma * local * decayed
            v = momentum * v + step
            w = w - (step + momentum * v if nesterov else v)
        history.append(w)
    return np.array(history)
