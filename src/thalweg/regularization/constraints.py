"""Constraints on whole parameters, applied after each update, in tensors `[rows, units, …]`.

A unit's weights are those of one output (`units`): a row of a linear layer's `[out, in]`, a filter of a convolution's
`[out, in, …]`. Keras's kernels have the outputs last, so that its axes are other ones for the same units.
"""

from collections.abc import Callable
from typing import Any

from thalweg.numerics import maximum, minimum, where
from thalweg.regularization import units

LEAST_DIVISOR = 1e-30
"""Lower bound of a norm used as divisor: a unit at zero stays."""

KERAS_EPSILON = 1e-7

Norm = Callable[[Any], Any]


def norm_within(
    parameters: Any, least: Any, most: Any, rate: Any = 1.0, norm: Norm = units.norm, *, as_keras: bool = False
) -> Any:
    """Each unit's weights scaled so that their norm goes to the nearest in [least, most], `rate` of the way.

    least, most: `None` for no limit. rate: in (0, 1]. Srebro & Shraibman 2005, doi:10.1007/11503415_37; Srivastava et
    al. 2014, JMLR 15. Exact: a unit within the limits is unchanged, and a unit at zero, which has no direction, too.

    as_keras: the weights are multiplied by the new norm over (ε + norm), as MaxNorm and MinMaxNorm of Keras do, which
    shrinks a unit within the limits, too, by ε at each step.
    """
    now = norm(parameters)
    near = now if least is None else maximum(now, least)
    near = near if most is None else minimum(near, most)
    new = rate * near + (1 - rate) * now
    if as_keras:
        return parameters * (new / (KERAS_EPSILON + now))
    stays = (near == now) | (now == 0)
    return parameters * where(stays, 1.0, new / maximum(now, LEAST_DIVISOR))


def unit_norm(parameters: Any, norm: Norm = units.norm, *, as_keras: bool = False) -> Any:
    """Each unit's weights divided by their norm. A unit at zero stays. as_keras: by ε + norm, as Keras's UnitNorm."""
    now = norm(parameters)
    return parameters / (KERAS_EPSILON + now if as_keras else maximum(now, LEAST_DIVISOR))


def non_negative(parameters: Any) -> Any:
    """Zero for every negative weight. NaN stays. Keras's NonNeg is the same."""
    return parameters.clamp(min=0)
