"""LAMB.

You, Li, Reddi, Hseu, Kumar, Bhojanapalli, Song, Demmel, Keutzer, Hsieh 2020, "Large Batch Optimization for Deep
Learning: Training BERT in 76 minutes" (arXiv:1904.00962), Algorithm 2, with phi the identity: one tensor is one layer.

Departures: the ratio of the norms is 1 where one of them is 0, as in all implementations. Keras' decay shrinks the
weights before the step and is no part of the update.
"""

import numpy as np

from oracles.norms import norm


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    x = parameter.astype(np.float64)
    m = np.zeros_like(x)
    v = np.zeros_like(x)
    history = []
    for t, (gradient, eta) in enumerate(zip(gradients, rates, strict=True), start=1):
        g = -gradient if maximize else gradient
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g * g
        m_hat = m / (1.0 - beta1**t)
        v_hat = v / (1.0 - beta2**t)
        r = m_hat / (np.sqrt(v_hat) + eps)
        if convention == "keras":
            x = x - eta * weight_decay * x
        else:
            r = r + weight_decay * x
        weights, step = norm(x), norm(r)
        trust = weights / step if weights > 0 and step > 0 else 1.0
        x = x - eta * trust * r
        history.append(x)
    return np.array(history)
