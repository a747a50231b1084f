"""Muon, and AdamW for what is no hidden matrix.

Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein 2024, "Muon: An optimizer for hidden layers in neural networks"
(https://kellerjordan.github.io/posts/muon/); the size of AdamW's updates: Liu et al. 2025, "Muon is Scalable for LLM
Training" (arXiv:2502.16982), equation 4.

The momentum is an average, as in the code of the authors and in torch. The norm is at least eps, as in torch, where the
post adds eps to it.
"""

import numpy as np

from oracles import adam


def newton_schulz(matrix: np.ndarray, eps: float) -> np.ndarray:
    x = matrix / max(np.sqrt(np.sum(matrix**2)), eps)
    if x.shape[0] > x.shape[1]:
        return newton_schulz_of_wide(x.T).T
    return newton_schulz_of_wide(x)


def newton_schulz_of_wide(x: np.ndarray) -> np.ndarray:
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    return x


def scale(shape: tuple[int, int], match_rms_adamw: bool) -> float:
    rows, columns = shape
    return 0.2 * np.sqrt(max(rows, columns)) if match_rms_adamw else np.sqrt(max(1.0, rows / columns))


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    momentum: float = 0.95,
    eps: float = 1e-7,
    nesterov: bool = True,
    match_rms_adamw: bool = False,
    adamw: bool = False,
    beta1: float = 0.9,
    beta2: float = 0.95,
    adamw_eps: float = 1e-8,
    weight_decay: float = 0.1,
    decoupled_weight_decay: bool = True,
    maximize: bool = False,
) -> np.ndarray:
    decay = {"weight_decay": weight_decay, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize}
    if adamw:
        return adam.trajectory(parameter, gradients, rates, beta1=beta1, beta2=beta2, eps=adamw_eps, **decay)
    w = parameter.astype(np.float64)
    m = np.zeros_like(w)
    history = []
    for gradient, eta in zip(gradients, rates, strict=True):
        g = -gradient if maximize else gradient
        if not decoupled_weight_decay:
            g = g + weight_decay * w
        m = momentum * m + (1.0 - momentum) * g
        c = momentum * m + (1.0 - momentum) * g if nesterov else m
        if decoupled_weight_decay:
            w = w * (1.0 - eta * weight_decay)
        w = w - eta * scale(w.shape, match_rms_adamw) * newton_schulz(c, eps)
        history.append(w)
    return np.array(history)
