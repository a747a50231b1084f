"""What inference takes, dense and with sparse matrices in compressed rows: measured."""

import copy
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.options.ranges import whole

WARM_UP = 3


class SparseLinear(nn.Module):
    """A linear layer by a matrix in compressed rows, `[units, inputs]`; for inference."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
            self.weight = layer.weight.detach().to_sparse_csr()
        self.bias = None if layer.bias is None else layer.bias.detach().clone()

    def forward(self, inputs: Tensor) -> Tensor:
        flat = inputs.reshape(-1, inputs.shape[-1])
        out = (self.weight @ flat.T).T
        out = out if self.bias is None else out + self.bias
        return out.reshape(*inputs.shape[:-1], -1)


@dataclass(frozen=True)
class SparseTiming:
    """Seconds of a call, the median of `repeats`: of the dense model, and with its linear layers sparse."""

    dense: float
    sparse: float
    repeats: int

    @property
    def speedup(self) -> float:
        """How many times faster the sparse model is; below 1 it is slower."""
        return self.dense / self.sparse


def sparse_copy(model: nn.Module) -> nn.Module:
    """A copy for inference whose linear layers multiply by sparse matrices. Raises `InputError` where it has none."""
    new = copy.deepcopy(model).eval()
    if type(new) is nn.Linear:
        return SparseLinear(new)
    found = [(parent, name, child) for parent in new.modules() for name, child in parent.named_children()]
    layers = [(parent, name, child) for parent, name, child in found if type(child) is nn.Linear]
    if not layers:
        raise InputError("The model has no linear layer, and torch multiplies by sparse matrices in those alone.")
    for parent, name, child in layers:
        setattr(parent, name, SparseLinear(child))
    return new


@torch.no_grad()
def timing(model: nn.Module, *inputs: Any, repeats: int = 50) -> SparseTiming:
    """Measures `model(*inputs)`, dense and with linear layers sparse, alternately, in evaluation mode.

    Raises:
        InputError: repeats below 1, or a model without linear layers.
    """
    count = int(whole(1).check("repeats", repeats))
    dense, sparse = copy.deepcopy(model).eval(), sparse_copy(model)
    pairs = [(_seconds(dense, inputs), _seconds(sparse, inputs)) for _ in range(WARM_UP + count)][WARM_UP:]
    by_dense, by_sparse = zip(*pairs, strict=True)
    return SparseTiming(statistics.median(by_dense), statistics.median(by_sparse), count)


def _seconds(call: Callable[..., Any], inputs: Sequence[Any]) -> float:
    began = time.perf_counter()
    call(*inputs)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began
