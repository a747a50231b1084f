"""Accelerated SGD.

Kidambi, Netrapalli, Jain, Kakade 2018, "On the insufficiency of existing momentum schemes for Stochastic Optimization"
(arXiv:1803.05591), Algorithm 3, with the constant 0.7 as `small_const`, and its square in alpha, as in the authors'
package AccSGD.

Departure: decoupled weight decay, which the paper does not have, moves the running average by as much as the parameter.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    kappa: float = 1000.0,
    xi: float = 10.0,
    small_const: float = 0.7,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    w = parameter.astype(np.float64)
    w_bar = w.copy()
    alpha = 1.0 - small_const**2 * xi / kappa
    history = []
    for gradient, delta in zip(gradients, rates, strict=True):
        decayed, g = prepare(w, gradient, delta, weight_decay, decoupled_weight_decay, maximize)
        w_bar = w_bar + (decayed - w)
        w = decayed
        w_bar = alpha * w_bar + (1.0 - alpha) * (w - kappa * delta / small_const * g)
        whole = small_const + (1.0 - alpha)
        w = small_const / whole * (w - delta * g) + (1.0 - alpha) / whole * w_bar
        history.append(w)
    return np.array(history)
