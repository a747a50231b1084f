"""M-SVAG.

Balles, Hennig 2017, "Dissecting Adam: The Sign, Magnitude and Variance of Stochastic Gradients" (arXiv:1705.07774),
the algorithm M-SVAG, beta standing for its beta_1, with its unbiased estimate of the variance from both averages.

Departures: at the first step, where rho is 1 and the variance 0/0, the variance is 0; rounding may not make it
negative; and where the mean is 0 the step is 0.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta: float = 0.9,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m_tilde = np.zeros_like(theta)
    v_tilde = np.zeros_like(theta)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        m_tilde = beta * m_tilde + (1.0 - beta) * g
        v_tilde = beta * v_tilde + (1.0 - beta) * g**2
        m = m_tilde / (1.0 - beta**t)
        v = v_tilde / (1.0 - beta**t)
        rho = (1.0 - beta) * (1.0 + beta**t) / ((1.0 + beta) * (1.0 - beta**t))
        s = np.maximum(v - m**2, 0.0) / (1.0 - rho) if t > 1 else np.zeros_like(m)
        gamma = np.divide(m**2, m**2 + rho * s, out=np.zeros_like(m), where=m != 0)
        theta = theta - alpha * gamma * m
        history.append(theta)
    return np.array(history)
