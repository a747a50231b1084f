"""Functions that accept a tensor, a number or a symbol, independent of training."""

from thalweg.numerics.functions import (
    Value,
    absolute,
    cbrt,
    clip,
    cos,
    exp,
    floor,
    lerp,
    log,
    maximum,
    minimum,
    power,
    round_to_default_dtype,
    sign,
    sqrt,
    where,
)
from thalweg.numerics.matrices import of_matrices
from thalweg.numerics.reductions import global_norm, mean, norm

__all__ = [
    "Value",
    "absolute",
    "cbrt",
    "clip",
    "cos",
    "exp",
    "floor",
    "global_norm",
    "lerp",
    "log",
    "maximum",
    "mean",
    "minimum",
    "norm",
    "of_matrices",
    "power",
    "round_to_default_dtype",
    "sign",
    "sqrt",
    "where",
]  # fmt: skip
