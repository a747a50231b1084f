"""SignSGD and Signum.

Bernstein, Wang, Azizzadenesheli, Anandkumar 2018, "signSGD: Compressed Optimisation for Non-Convex Problems"
(arXiv:1802.04434), Algorithm 1 (signSGD) and Algorithm 2 (Signum).

Departures: none of the update; weight decay, which the paper's experiments add to the gradient, is not part of it.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    x = parameter.astype(np.float64)
    m = np.zeros_like(x)
    history = []
    for gradient, delta in zip(gradients, rates, strict=True):
        x, g = prepare(x, gradient, delta, weight_decay, decoupled_weight_decay, maximize)
        m = momentum * m + (1.0 - momentum) * g
        x = x - delta * np.sign(m)
        history.append(x)
    return np.array(history)
