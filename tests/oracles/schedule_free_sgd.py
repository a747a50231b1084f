"""Schedule-free SGD.

Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky 2024, "The Road Less Scheduled" (arXiv:2405.15682), equations for
SGD in Section 1 with momentum for beta, and the weights of Algorithm 1, c = rate^2 / sum of rate^2, for rates that
change. What is returned is y, where gradients are taken.

Departures: as in Algorithm 1 the first c is 1 (the equations of Section 1 begin with 1/2). Weight decay is added to
the gradient at y; decoupled decay, of which the paper says nothing, shrinks y beside the rule, and x with it, since
y and z determine x.
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
    x = z = theta
    weights = 0.0
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        if t == 1:
            x = z = theta
        else:
            x = (theta - (1.0 - momentum) * z) / momentum
        weights += alpha**2
        c = alpha**2 / weights
        z = z - alpha * g
        x = (1.0 - c) * x + c * z
        theta = (1.0 - momentum) * z + momentum * x
        history.append(theta)
    return np.array(history)
