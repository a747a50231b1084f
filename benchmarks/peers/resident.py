"""Resident memory of a process, for children that each measure one thing. Linux, or a less exact way elsewhere."""

import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def growth(run: Callable[[], Any]) -> int:
    """Bytes by which the most memory held during `run` exceeds what was held before it."""
    gc.collect()
    before = _reset() or _peak()
    run()
    return _peak() - before


def _reset() -> int | None:
    """Forgets the peak of before; the bytes held now. `None` where the system cannot: then that peak stays."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return None


def _peak() -> int:
    try:
        return _status("VmHWM")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
