"""The checks that `compare` and `resume` share: of the workload, the device and the context of the call."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from thalweg.errors import InputError, first_line, shown
from thalweg.options.comparison import COMPARISON
from thalweg.population.program.models import BUILDING
from thalweg.workloads.reuse import fitting
from thalweg.workloads.workload import Workload


def require_plain_context() -> None:
    """Raises `InputError` within a model factory and within torch contexts that the runs' threads would not see."""
    if getattr(BUILDING, "now", False):
        raise InputError(
            "A comparison cannot be called within model(), whose random numbers it would draw: call it before."
        )
    if torch.is_inference_mode_enabled():
        raise InputError("Nothing can be trained within torch.inference_mode(): call this outside of it.")
    if any(torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")):
        raise InputError(
            "Runs do not see torch.autocast around a comparison: give the workload precision='bf16', or put it into the"
            " model's forward()."
        )
    modes = [
        *_get_current_function_mode_stack(),  # type: ignore[no-untyped-call]
        *_get_current_dispatch_mode_stack(),
    ]
    other = next((type(mode).__name__ for mode in modes if not isinstance(mode, DeviceContext)), "")
    if other or torch._C._autograd._top_saved_tensors_default_hooks(True):
        what = f"the mode {other}" if other else "hooks on saved tensors"
        raise InputError(f"Runs train on threads of their own and do not see {what} around a comparison: leave it out.")


def problem(
    workload: Any,
    epochs: int | None,
    steps: int | None,
    batch_size: int | None = None,
    initial: Path | None = None,
    freeze: Sequence[str] | None = None,
) -> Workload:
    """The workload with its length, its batch size, its weights to start from or its frozen parameters replaced.

    Raises `InputError` if it is no `Workload`, or both epochs and steps are given.
    """
    if not isinstance(workload, Workload):
        raise InputError(
            f"workload must be a thalweg.Workload or a built-in one's name, such as 'digits', got {shown(workload)}."
        )
    if epochs is not None and steps is not None:
        raise InputError("epochs and steps both say how long a run trains: give one of the two.")
    changes: dict[str, Any] = {} if batch_size is None else {"batch_size": batch_size}
    changes |= {} if initial is None else {"initial": fitting(initial)}
    changes |= {} if freeze is None else {"freeze": tuple(freeze)}
    if epochs is not None:
        changes |= {"epochs": epochs, "steps": None}
    elif steps is not None:
        changes["steps"] = steps
    return replace(workload, **changes) if changes else workload


def usable(name: Any) -> torch.device:
    """The device of that name. Raises `InputError` if it cannot be used."""
    try:
        device = torch.device(COMPARISON["device"].check(name))
        torch.empty(0, device=device).to("cpu")  # fails on a device without storage, such as "meta"
    except InputError:
        raise
    except Exception as error:  # the backend of that device may raise anything
        reason = first_line(error).rstrip(".")
        raise InputError(f"The device {shown(name)} cannot be used: {reason}; use 'cpu'.") from None
    return device
