"""NorMuon, and AdamW for what is no hidden matrix.

Li, Liu, Liang, Chen, Zhao 2025, "NorMuon: Making Muon more efficient and scalable" (arXiv:2510.05491), Algorithm 1.

Departures: the momentum is an average with Nesterov's step ahead, as in the Muon that it builds on. The matrix keeps
its own norm, as in the authors' code, before the factor of its shape.
"""

import numpy as np

from oracles import adam
from oracles.muon import newton_schulz, scale


def trajectory(
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    momentum: float = 0.95,
    row_beta: float = 0.95,
    eps: float = 1e-7,
    nesterov: bool = True,
    match_rms_adamw: bool = True,
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
    m, v = np.zeros_like(w), np.zeros(w.shape[0])
    history = []
    for gradient, eta in zip(gradients, rates, strict=True):
        g = -gradient if maximize else gradient
        if not decoupled_weight_decay:
            g = g + weight_decay * w
        m = momentum * m + (1.0 - momentum) * g
        c = momentum * m + (1.0 - momentum) * g if nesterov else m
        o = newton_schulz(c, eps)
        norm = np.linalg.norm(o)
        v = row_beta * v + (1.0 - row_beta) * np.array([np.mean(row**2) for row in o])
        o = o / (np.sqrt(v)[:, None] + 1e-8)
        if np.linalg.norm(o) > 0:
            o = o * norm / np.linalg.norm(o)
        if decoupled_weight_decay:
            w = w * (1.0 - eta * weight_decay)
        w = w - eta * scale(w.shape, match_rms_adamw) * o
        history.append(w)
    return np.array(history)
