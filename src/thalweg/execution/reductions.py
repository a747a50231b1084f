"""What a step needs to know of whole tensors beforehand. Each is a row value; gradients are read and left alone."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from thalweg.execution.storage.rounding import LOW, upcast
from thalweg.recipes.compose import StepVariant, transform_gradients
from thalweg.recipes.options import GLOBAL_NORM, GRADIENT_NORM
from thalweg.recipes.row_table import Array

Value = TypeVar("Value", Array, Tensor)


def norms(gradients: Sequence[Tensor]) -> Array:
    """The norm of each, float64 `[n]`. Those of 16 bits are summed in float32."""
    if not gradients:
        return np.zeros(0)
    found = [torch.linalg.vector_norm(g, dtype=accumulation_dtype(g)) for g in gradients]
    if len({g.device for g in gradients}) > 1:
        found = [norm.cpu() for norm in found]
    return torch.stack(found).double().cpu().numpy()


def accumulation_dtype(x: Tensor) -> torch.dtype | None:
    """What its elements are summed in, where not in their own dtype. In float32 ones are counted exactly to 2**24."""
    return torch.float32 if x.dtype in LOW else None


def norm_of(norms: Array) -> Array:
    """The norm of all tensors together, `[…]`, by the norm of each, `[tensors, …]`."""
    return np.asarray(np.sqrt(np.square(norms).sum(axis=0)))


def chosen(measured: Collection[str], each: Value, together: Value) -> dict[str, Value]:
    """The row values of those names: the norm of each tensor's gradient and that of all; arrays, or tensors."""
    found = {GRADIENT_NORM: each, GLOBAL_NORM: together}
    return {name: found[name] for name in measured if name in found}


def transform_gradient(
    structure: StepVariant, gradient: Tensor, parameter: Tensor, values: Mapping[str, Any]
) -> Tensor:
    """The gradient of one tensor after what is done to whole ones; of 16 bits, in float32. Where nothing is, itself."""
    if not structure.transforms:
        return gradient
    g, p = upcast(gradient), upcast(parameter)
    return cast(Tensor, transform_gradients(structure, g[None], p[None], values)[0])
