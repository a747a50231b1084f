"""The Euclidean norm of a whole tensor, summed exactly."""

import math

import numpy as np


def norm(x: np.ndarray) -> float:
    return math.sqrt(math.fsum(float(v) * float(v) for v in x.ravel()))
