"""CUDA graphs, and what stands for one on the CPU: every operation kept with its very tensors, and carried out again.

Like a graph it refuses to wait for a number and to copy from memory that may change; recording changes nothing.
"""

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest import mock

import torch
from there import DEVICE
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from thalweg.execution import dispatch
from thalweg.execution.gpu import kernels, passes
from thalweg.population.training import cuda_graphs


def record(step: Callable[[], object], device: torch.device = DEVICE) -> Callable[[], object]:
    """What repeats the step. It was taken before."""
    if device.type == "cpu":
        return _Recording().of(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a graph that stayed empty, as what was to be recorded has raised
        return cuda_graphs.record(step, device)


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], object]] = []
        self._seen: dict[int, tuple[Tensor, Tensor]] = {}
        self._own: set[int] = set()

    def of(self, step: Callable[[], object]) -> Callable[[], object]:
        launch, fold = kernels.launch, kernels.fold
        refused = mock.Mock(side_effect=RuntimeError("a copy from memory that may change cannot be recorded"))
        with ExitStack() as stack:
            for owner, name, stand_in in (
                (kernels, "launch", lambda *given: self._calls.append(lambda: launch(*given))),
                (kernels, "fold", lambda *given: self._calls.append(lambda: fold(*given))),
                (passes, "recording", lambda device: True),
                (dispatch, "watched", lambda: False),  # no mode follows a recording on a GPU
                (torch, "from_numpy", refused),
                (torch, "tensor", refused),
            ):
                stack.enter_context(mock.patch.object(owner, name, stand_in))
            stack.enter_context(self)
            step()
        for memory, before in self._seen.values():
            memory.copy_(before)
        return self._repeat

    @torch.no_grad()
    def _repeat(self) -> None:
        for call in self._calls:
            call()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "local_scalar" in str(function):
            raise RuntimeError("waiting for a number cannot be recorded")
        for tensor in _tensors((args, kwargs)):
            self._remember(tensor)
        made = function(*args, **(kwargs or {}))
        self._own |= {_memory(tensor) for tensor in _tensors(made)} - set(self._seen)
        self._calls.append(lambda: _again(made, function(*args, **(kwargs or {}))))
        return made

    def _remember(self, tensor: Tensor) -> None:
        """All of the memory that a tensor of before is in, as it was."""
        if _memory(tensor) not in self._own and _memory(tensor) not in self._seen:
            whole = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
            self._seen[_memory(tensor)] = whole, whole.clone()


def _again(made: Any, now: Any) -> None:
    """What came out this time, where it did the first time."""
    for first, new in zip(_tensors(made), _tensors(now), strict=True):
        if _memory(first) != _memory(new):
            first.copy_(new)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
