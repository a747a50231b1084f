"""Programs compiled by Triton. The source is cached with that of the CPU's; Triton caches its binaries on disk."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import first_line
from thalweg.execution.gpu import source
from thalweg.execution.gpu.templates import FOLD, TRIAL
from thalweg.execution.lowering.codegen_cache import module
from thalweg.recipes.stages import Stage

WARPS = 4


@cache
def trouble(device: torch.device) -> str:
    """The reason why no kernel can be compiled for a device; empty if a trial kernel runs."""
    try:
        kernel, there = module(TRIAL, compiler="triton").trial, torch.zeros(1, device=device)
        with current(device):
            kernel[(1,)](there)
        return "" if float(there) == 1.0 else "Triton's kernels do nothing"
    except ModuleNotFoundError:
        return "Triton is not installed"
    except Exception as error:  # no C compiler, an old GPU, an old driver
        return f"Triton cannot compile for it: {first_line(error)}"


def current(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which kernels are launched on the device."""
    if device.type == "cpu":  # Triton's interpreter
        return nullcontext()
    made: AbstractContextManager[Any] = torch.get_device_module(device).device(device)
    return made


@cache
def kernel(stage: Stage, storage: tuple[str, ...], *, stochastic: bool = False) -> Any:
    """The compiled kernel of a stage, with `storage` as in `source.kernel`."""
    return module(source.kernel(stage, storage, stochastic=stochastic), compiler="triton").step


def launch(kernel: Any, blocks: int, arguments: Sequence[Tensor], rows: int) -> None:
    """Launches a kernel on the current stream.

    The arguments are tensors on the device:
        table: `[lines, columns]`, float64 for float64 storage, else float32,
        which: int64 `[rows]`, each row's line in the table,
        active: int64 `[rows]`; a row at 0 is left unchanged, and its partial results too,
        pointers: int64 `[streams, rows]`, of a row's gradient, parameter and states (and residual),
        keys: int64 `[rows]`, for stochastic rounding,
        partials: float64 `[reductions, blocks]`, each block's sum (of squares, for a norm),
        blocks: int64 `[blocks, 3]`, each block's row, first element in that row, and length.
    """
    kernel[(blocks,)](*arguments, rows, num_warps=WARPS, enable_fp_fusion=True)


def fold(partials: Tensor, bounds: Tensor, sums: Tensor) -> None:
    """Adds each row's partial results in order, on the current stream.

    partials: float64 `[reductions, blocks]`. bounds: int64 `[rows + 1]`, each row's first block, and the end of the
    last. sums: float64 `[reductions, rows]`, written.
    """
    reductions, rows = sums.shape
    module(FOLD, compiler="triton").fold[(rows, reductions)](
        partials, bounds, sums, partials.shape[1], rows, num_warps=WARPS
    )
