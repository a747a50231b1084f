"""SAM: the step to the point where the gradient is taken.

Foret, Kleiner, Mobahi, Neyshabur 2020, "Sharpness-Aware Minimization for Efficiently Improving Generalization"
(arXiv:2010.01412), equation 2 with p = 2. The norm is over all parameters; as in the authors' code 1e-12 is added.
"""

import numpy as np


def perturbation(parameters: list[np.ndarray], gradients: list[np.ndarray], rho: float) -> list[np.ndarray]:
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    return [rho * g / (norm + 1e-12) for g in gradients]
