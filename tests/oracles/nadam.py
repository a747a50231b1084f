"""NAdam.

Dozat 2016, "Incorporating Nesterov Momentum into Adam" (ICLR workshop; no arXiv number), Algorithm 2, with
the paper's suggested schedule mu_t = beta1 (1 - 0.96^(t / 250) / 2), where momentum_decay = 1 / 250.

Departures of torch from the paper: the first moment decays by the constant beta1 instead of mu_t, and the
running product of mu is a tensor of torch's default dtype, so that in float32 both mu and the product are
rounded at every step. product_dtype reproduces that; np.float64 does not round. The paper also writes the
corrected second moment as nu n / (1 - nu^t), with the decay nu in the numerator.
"""

import numpy as np

from .decay import prepare


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
    product_dtype: type[np.floating] = np.float32,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    convention: str = "torch",
) -> np.ndarray:
    theta = parameter.astype(np.float64)
    m = np.zeros_like(theta)
    n = np.zeros_like(theta)
    stored_product = product_dtype(1.0)
    history = []
    for t, (gradient, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta, g = prepare(theta, gradient, alpha, weight_decay, decoupled_weight_decay, maximize)
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        stored_product = product_dtype(stored_product * product_dtype(mu))
        product = float(stored_product)
        m = mu * m + (1.0 - mu) * g if convention == "paper" else beta1 * m + (1.0 - beta1) * g
        n = beta2 * n + (1.0 - beta2) * g**2
        # The next product is formed in float64 even by torch: only the stored one is rounded.
        m_bar = (1.0 - mu) * g / (1.0 - product) + mu_next * m / (1.0 - product * mu_next)
        n_hat = (beta2 * n if convention == "paper" else n) / (1.0 - beta2**t)
        theta = theta - alpha * m_bar / (np.sqrt(n_hat) + eps)
        history.append(theta)
    return np.array(history)
