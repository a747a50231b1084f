"""AdEMAMix.

Pagliardini, Ablin, Grangier 2024, "The AdEMAMix Optimizer: Better, Faster, Older" (arXiv:2409.03137), Algorithm 1
with the two schedulers of Section 3: alpha grows linearly over t_alpha steps, and beta3 from beta1 over t_beta3
steps so that its half-life grows linearly. The slow average is not corrected for bias.

Departures: 0 steps stand for no scheduler, and the weight decay stands beside the rule, as AdamW's, which is the same
arithmetic as the paper's.
"""

import math

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    beta3: float = 0.9999,
    alpha: float = 5.0,
    t_alpha: float = 0.0,
    t_beta3: float = 0.0,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m1 = np.zeros_like(theta)
    m2 = np.zeros_like(theta)
    nu = np.zeros_like(theta)
    history = []
    for t, (gradient, eta) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, eta, weight_decay, decoupled_weight_decay, maximize)
        alpha_t = min(t * alpha / t_alpha, alpha) if t_alpha else alpha
        beta3_t = beta3
        if t_beta3:
            part = min(t / t_beta3, 1.0)
            products = math.log(beta1) * math.log(beta3)
            beta3_t = min(math.exp(products / ((1.0 - part) * math.log(beta3) + part * math.log(beta1))), beta3)
        m1 = beta1 * m1 + (1.0 - beta1) * g
        m2 = beta3_t * m2 + (1.0 - beta3_t) * g
        nu = beta2 * nu + (1.0 - beta2) * g**2
        m1_hat = m1 / (1.0 - beta1**t)
        nu_hat = nu / (1.0 - beta2**t)
        theta = theta - eta * (m1_hat + alpha_t * m2) / (np.sqrt(nu_hat) + eps)
        history.append(theta)
    return np.array(history)
