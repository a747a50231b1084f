"""ASAM: the step to the point where the gradient is taken.

Kwon, Kim, Park, Choi 2021, "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural
Networks" (arXiv:2102.11600), section 4, with p = 2 and the elementwise normalization T_w = diag(|w|). As in SAM, 1e-12
is added to the norm.
"""

import numpy as np


def perturbation(parameters: list[np.ndarray], gradients: list[np.ndarray], rho: float) -> list[np.ndarray]:
    scaled = [np.abs(w) * g for w, g in zip(parameters, gradients, strict=True)]
    norm = np.sqrt(sum((x**2).sum() for x in scaled))
    return [rho * np.abs(w) * x / (norm + 1e-12) for w, x in zip(parameters, scaled, strict=True)]
