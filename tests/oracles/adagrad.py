"""AdaGrad with a diagonal matrix.

Duchi, Hazan, Singer 2011, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization"
(JMLR 12; no arXiv number), Figure 1, with no regularizer and no constraint: theta -= eta g / (delta +
||g_1:t||).

Departures of torch from the paper: the rate decays as eta / (1 + (t - 1) lr_decay), and the accumulator may
start above zero. Epsilon (the paper's delta) stands outside the root in both, and inside in Keras 3 and Optax
(documentation of `keras.optimizers.Adagrad`, `optax.adagrad`).
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    lr_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    accumulator = np.full_like(theta, initial_accumulator_value)
    history = []
    for t, (gradient, eta) in enumerate(zip(gradients, rates, strict=True), start=1):
        # Decoupled weight decay takes the scheduled rate: lr_decay belongs to the rule.
        theta, g = prepare(theta, gradient, eta, weight_decay, decoupled_weight_decay, maximize)
        accumulator = accumulator + g**2
        eta_t = eta / (1.0 + (t - 1) * lr_decay)
        root = np.sqrt(accumulator) + eps if convention == "torch" else np.sqrt(accumulator + eps)
        theta = theta - eta_t * g / root
        history.append(theta)
    return np.array(history)
