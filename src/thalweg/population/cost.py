"""The cost of one step of the user's model, counted rather than timed: a plan must not depend on what else runs."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts, within it, the additions and multiplications of matrix products and convolutions."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        of = flop_registry.get(func._overloadpacket)
        if of is not None:
            self.count += of(*args, **(kwargs or {}), out_val=out)
        return out


class Activations:
    """Counts the bytes that forward passes save for their backward passes, the model's own left out."""

    def __init__(self, model: nn.Module) -> None:
        self._seen = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
        self.bytes = 0

    def counting(self) -> AbstractContextManager[Any]:
        """A context in which they are counted."""
        return torch.autograd.graph.saved_tensors_hooks(self._note, lambda tensor: tensor)

    def _note(self, tensor: Tensor) -> Tensor:
        if not tensor.is_sparse and tensor.untyped_storage().data_ptr() not in self._seen:
            self._seen.add(tensor.untyped_storage().data_ptr())
            self.bytes += tensor.untyped_storage().nbytes()
        return tensor


def model_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
