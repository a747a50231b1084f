"""What every rule does to its parameter and gradient before the rule proper: maximize, then weight decay.

Coupled decay is L2 regularization: the decay passes through the rule as part of the gradient. Decoupled decay
shrinks the parameter itself (Loshchilov, Hutter 2019, arXiv:1711.05101, Algorithm 2). Departure of torch: the
paper scales the decay by the schedule's multiplier alone, torch by the whole learning rate.
"""

import numpy as np


def prepare(
    theta: np.ndarray,
    gradient: np.ndarray,
    rate: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> tuple[np.ndarray, np.ndarray]:
    g = gradient.astype(np.float64)
    if maximize:
        g = -g
    if decoupled_weight_decay:
        return theta * (1.0 - rate * weight_decay), g
    return theta, g + weight_decay * theta
