"""Keeps torch's default device, which users set, from deciding where step counts are created."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

_PLAIN: AbstractContextManager[Any] = nullcontext()


def on_cpu_by_default() -> AbstractContextManager[Any]:
    """A context that creates tensors of no stated device on the CPU, whatever the user's default device is.

    Step counts and row states belong there; elementwise states are created on their parameter's device.
    """
    if not torch._C._len_torch_function_stack():  # a default device is a torch function mode
        return _PLAIN
    return _PLAIN if torch.get_default_device().type == "cpu" else torch.device("cpu")
