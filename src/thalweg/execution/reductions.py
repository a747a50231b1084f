"""Reductions and transforms over whole tensors, before a step. A reduction is a row value; gradients are only read."""

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
    """The norm of each gradient, float64 `[n]`; 16-bit gradients are summed in float32."""
    if not gradients:
        return np.zeros(0)
    found = [torch.linalg.vector_norm(g, dtype=accumulation_dtype(g)) for g in gradients]
    if len({g.device for g in gradients}) > 1:
        found = [norm.cpu() for norm in found]
    return torch.stack(found).double().cpu().numpy()


def accumulation_dtype(x: Tensor) -> torch.dtype | None:
    """The dtype to sum elements in; `None` for their own. float32 counts ones exactly up to 2**24."""
    return torch.float32 if x.dtype in LOW else None


def norm_of(norms: Array) -> Array:
    """The global norm of all tensors, `[…]`, from the norm of each, `[tensors, …]`."""
    return np.asarray(np.sqrt(np.square(norms).sum(axis=0)))


def chosen(measured: Collection[str], each: Value, together: Value) -> dict[str, Value]:
    """The norms whose names are in `measured`: of each tensor's gradient, and global; arrays, or tensors."""
    found = {GRADIENT_NORM: each, GLOBAL_NORM: together}
    return {name: found[name] for name in measured if name in found}


def transform_gradient(
    structure: StepVariant, gradient: Tensor, parameter: Tensor, values: Mapping[str, Any]
) -> Tensor:
    """The gradient after whole-tensor transforms (16-bit ones in float32); unchanged if there are none."""
    if not structure.transforms:
        return gradient
    g, p = upcast(gradient), upcast(parameter)
    return cast(Tensor, transform_gradients(structure, g[None], p[None], values)[0])
