"""FTRL-Proximal.

McMahan et al. 2013, "Ad Click Prediction: a View from the Trenches" (KDD), Algorithm 1, a coordinate at a time.

Departures: n starts at `initial_accumulator_value`; beta and the regularizers are 0 unless given, all as in Keras. The
given parameter stands for the first w, which the paper computes from z = 0, so that it enters the first sigma w only.
Weight decay is not part of it: the decoupled kind shrinks w before it enters z.

Keras 3 (`keras.optimizers.Ftrl`) does so too, and adds twice its l2 to the denominator, its penalty being l2 w^2
without the half.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    initial_accumulator_value: float = 0.1,
    l1: float = 0.0,
    l2: float = 0.0,
    beta: float = 0.0,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    w = parameter.astype(np.float64)
    z = np.zeros_like(w)
    n = np.full_like(w, initial_accumulator_value)
    history = []
    for gradient, alpha in zip(gradients, rates, strict=True):
        w, g = prepare(w, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        penalty = 2.0 * l2 if convention == "keras" else l2
        new = np.empty_like(w)
        for i in range(w.size):
            sigma = (np.sqrt(n[i] + g[i] ** 2) - np.sqrt(n[i])) / alpha
            z[i] = z[i] + g[i] - sigma * w[i]
            n[i] = n[i] + g[i] ** 2
            if abs(z[i]) <= l1:
                new[i] = 0.0
            else:
                new[i] = -(z[i] - np.sign(z[i]) * l1) / ((beta + np.sqrt(n[i])) / alpha + penalty)
        w = new
        history.append(w)
    return np.array(history)
