"""The default device of torch, which its users set, and which must not decide where steps are counted."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

_PLAIN: AbstractContextManager[Any] = nullcontext()


def on_cpu_by_default() -> AbstractContextManager[Any]:
    """A context in which tensors of no stated device are made on the CPU, whatever the user's default is.

    A step's numbers belong there. States are made where their parameter is.
    """
    if not torch._C._len_torch_function_stack():  # a default device is such a mode
        return _PLAIN
    return _PLAIN if torch.get_default_device().type == "cpu" else torch.device("cpu")
