"""Package versions and machine of a study, for its record."""

import os
import platform
from importlib.metadata import version
from typing import Any

import torch

import thalweg


def environment(device: torch.device) -> dict[str, Any]:
    packages = {name: version(name) for name in ("torch", "numpy", "numba", "scipy")}
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "thalweg": thalweg.__version__,
        "python": platform.python_version(),
        **packages,
        "system": platform.platform(),
        "device": f"{device} ({chip})",
        "cores": os.cpu_count(),
    }
