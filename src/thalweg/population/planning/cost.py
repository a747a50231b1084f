"""The cost of one step of the user's model, counted, not timed: a plan must not depend on the machine's load."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class OperationCount(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the cost of all calls within the context.

    operations: additions and multiplications of matrix products and convolutions. activations: bytes of new tensors
    in the forward pass, about as many as are saved for backward.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.activations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        of = flop_registry.get(getattr(func, "_overloadpacket", None))
        if of is not None:
            self.operations += of(*args, **(kwargs or {}), out_val=out)
        if torch.is_grad_enabled():
            given = {_memory(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
            made = {_memory(t): _bytes(t) for t in tree_leaves(out) if isinstance(t, Tensor)}
            self.activations += sum(size for memory, size in made.items() if memory not in given)
        return out


def model_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers."""
    return sum(map(_bytes, (*model.parameters(), *model.buffers())))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _memory(tensor: Tensor) -> int:
    """The storage's data pointer; 0 for a tensor without strided storage, such as a sparse one."""
    return 0 if tensor.layout is not torch.strided else tensor.untyped_storage().data_ptr()
