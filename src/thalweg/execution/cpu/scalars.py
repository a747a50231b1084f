"""Gather and scatter of single numbers in memory, such as every parameter's step, in one call."""

from collections.abc import Mapping

import numpy as np
import torch

from thalweg.execution.cpu import kernels
from thalweg.recipes.row_table import Array

HELD: Mapping[torch.dtype, str] = {torch.float32: "float32", torch.float64: "float64"}


def accepts(dtype: torch.dtype) -> bool:
    """Whether numbers of this dtype can be read."""
    return dtype in HELD


class Singles:
    """Numbers of one dtype at `addresses` in CPU memory, int64 `[n]`. `values`: those read last, float64 `[n]`."""

    def __init__(self, dtype: torch.dtype, addresses: Array) -> None:
        self._compiled, self._addresses = kernels.scalars(HELD[dtype]), addresses
        self.values = np.zeros(len(addresses))

    def read(self, more: float = 0.0) -> bool:
        """Adds `more` to each in place, then reads them into `values`; returns whether all are then equal."""
        same: bool = self._compiled.read(self._addresses, self.values, more)
        return same

    def write(self, values: Array) -> None:
        """Writes `values`, float64 `[n]`, to the addresses, rounded to the dtype."""
        self._compiled.write(self._addresses, values)
