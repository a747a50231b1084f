"""Rprop, as torch computes it.

Riedmiller, Braun 1993, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm" (ICNN),
the rules for the update value Delta and for the weight.

Departures of torch from the paper: after a change of sign the last step is not taken back (the paper's
exception); the element only rests for one step, and its gradient is remembered as 0, as in the paper. The update value
starts at the first learning rate, which the paper calls Delta_0, and later ones mean nothing.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    etaminus: float = 0.5,
    etaplus: float = 1.2,
    step_size_min: float = 1e-6,
    step_size_max: float = 50.0,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    w = parameter.astype(np.float64)
    delta = np.full_like(w, rates[0])
    previous = np.zeros_like(w)
    history = []
    for gradient, rate in zip(gradients, rates, strict=True):
        w, g = prepare(w, gradient, rate, weight_decay, decoupled_weight_decay, maximize)
        w, g = w.copy(), g.copy()
        for i in range(w.size):
            product = previous[i] * g[i]
            if product > 0.0:
                delta[i] = delta[i] * etaplus
            elif product < 0.0:
                delta[i] = delta[i] * etaminus
                g[i] = 0.0
            delta[i] = min(max(delta[i], step_size_min), step_size_max)
            if g[i] > 0.0:
                w[i] -= delta[i]
            elif g[i] < 0.0:
                w[i] += delta[i]
            previous[i] = g[i]
        history.append(w)
    return np.array(history)
