"""Constraints on whole parameters, applied after each update."""

from collections.abc import Callable
from typing import Any

from thalweg.numerics import maximum, minimum
from thalweg.regularization import units

LEAST_DIVISOR = 1e-30
"""Lower bound of a norm used as divisor: a unit at zero stays."""


def max_norm(parameters: Any, limit: Any, norm: Callable[[Any], Any] = units.norm) -> Any:
    """Each unit's weights scaled down to a norm of at most `limit`, in tensors `[rows, units, …]`.

    Srebro & Shraibman 2005, doi:10.1007/11503415_37; Srivastava et al. 2014, JMLR 15. Exact: a unit within the limit is
    unchanged, where Keras' MaxNorm shrinks it by ε at each step.
    """
    return parameters * minimum(limit / maximum(norm(parameters), LEAST_DIVISOR), 1.0)
