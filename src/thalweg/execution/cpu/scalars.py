"""Single numbers here and there in memory, such as every parameter's step, read and written in one call."""

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
    """Numbers of one dtype at `addresses` in the CPU's memory, int64 `[n]`. `values`: what was read last, float64."""

    def __init__(self, dtype: torch.dtype, addresses: Array) -> None:
        self._compiled, self._addresses = kernels.scalars(HELD[dtype]), addresses
        self.values = np.zeros(len(addresses))

    def read(self, more: float = 0.0) -> bool:
        """Reads them into `values`, after adding `more` to each in its place; says whether all are then the same."""
        same: bool = self._compiled.read(self._addresses, self.values, more)
        return same

    def write(self, values: Array) -> None:
        """Puts `values`, float64 `[n]`, there, rounded to the dtype."""
        self._compiled.write(self._addresses, values)
