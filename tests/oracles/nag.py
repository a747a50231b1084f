"""Nesterov's accelerated gradient, in the form of equations 3 and 4 of Sutskever et al.

Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum in deep learning" (ICML):
v' = mu v - eps grad f(theta + mu v), theta' = theta + v'. The gradients given are those at the look-ahead points
theta + mu v, and the look-ahead points are what is returned.

Departures: mu is constant. Weight decay shrinks the point that the optimizer holds, which is the look-ahead point, and
with it theta by as much.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    v = np.zeros_like(theta)
    history = []
    for gradient, eps in zip(gradients, rates, strict=True):
        ahead = theta + momentum * v
        decayed, g = prepare(ahead, gradient, eps, weight_decay, decoupled_weight_decay, maximize)
        theta = theta + (decayed - ahead)
        v = momentum * v - eps * g
        theta = theta + v
        history.append(theta + momentum * v)
    return np.array(history)
