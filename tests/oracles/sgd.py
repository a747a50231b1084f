"""Stochastic gradient descent with classical or Nesterov momentum.

Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum in deep learning"
(ICML; no arXiv number), equations 1 to 4; classical momentum is Polyak's (1964).

Departures of torch from the paper: the learning rate stands outside the velocity, v = mu v + g and theta -=
eta v, which differs once the rate changes; the velocity starts as the first gradient, undamped; `dampening`
is torch's own, and is ignored when there is no momentum; Nesterov's gradient is taken at theta, in the
rewritten form theta -= eta (g + mu v), instead of at theta + mu v.

Keras 3 (documentation of `keras.optimizers.SGD`) keeps the rate in the velocity as the papers do: v = mu v - eta g,
theta += v, with Nesterov theta += mu v - eta g; the papers' look-ahead point theta + mu v moves the same way.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    mu = momentum
    theta = parameter.astype(np.float64)
    v = np.zeros_like(theta)
    history = []
    for t, (gradient, eta) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, eta, weight_decay, decoupled_weight_decay, maximize)
        if mu != 0.0 and convention in ("keras", "paper"):
            damped = eta * (g if t == 1 else (1.0 - dampening) * g)
            v = mu * v - damped
            theta = theta + (mu * v - eta * g if nesterov else v)
            history.append(theta)
            continue
        if mu == 0.0:
            step = g
        else:
            v = g if t == 1 else mu * v + (1.0 - dampening) * g
            step = g + mu * v if nesterov else v
        theta = theta - eta * step
        history.append(theta)
    return np.array(history)
