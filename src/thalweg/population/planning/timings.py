"""Timings of the backends, kept in a small file per machine, so that the choice between them is made once.

The file lies beside the generated kernels (`execution.lowering.codegen_cache`). One that is missing, corrupted or of
another format counts as empty, and where it cannot be written, every process measures anew.
"""

import hashlib
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from thalweg import __version__
from thalweg.execution.lowering import codegen_cache
from thalweg.population.program.models import state
from thalweg.population.training.job import Job

Seconds = Mapping[str, float]
FORMAT = 1
OLDEST = 30 * 86_400  # seconds for which a timing is used
MOST = 200  # timings kept, the newest


def timed(key: str, names: Collection[str], measure: Callable[[], Seconds]) -> Seconds:
    """The kept timings of this key, of these names; measures and keeps them where there are none."""
    found: Seconds = _read().get(key, {}).get("seconds", {})
    if set(found) == set(names):
        return found
    seconds = measure()
    _write({**_read(), key: {"at": time.time(), "seconds": dict(seconds)}})
    return seconds


def key_of(job: Job, model: nn.Module, members: int) -> str:
    """A hash of what timings depend on: machine, versions, threads, model, loss, batch, and members at once."""
    tensors = [(name, tuple(t.shape), str(t.dtype)) for name, t in state(model).items()]
    modules = [(name, f"{type(m).__module__}.{type(m).__qualname__}") for name, m in model.named_modules()]
    batch = [(tuple(x.shape[1:]), str(x.dtype)) for x in job.workload.train.first([1])[0].tensors]
    loss = getattr(job.workload.loss, "__qualname__", type(job.workload.loss).__qualname__)
    cost = (job.operations, job.activation_bytes, job.random, job.outside)
    sizes = (min(job.workload.step_samples, len(job.workload.train)), job.workload.accumulate, members)
    versions = (__version__, torch.__version__, torch.get_num_threads(), _machine(), _device(job.device))
    facts = (versions, tensors, modules, batch, loss, cost, sizes)
    return hashlib.blake2b(repr(facts).encode(), digest_size=12).hexdigest()


@cache
def _machine() -> tuple[str, ...]:
    """The processor's name and the number of its cores: a machine's own name says nothing of its speed."""
    name = platform.processor()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.system(), platform.machine(), name, str(os.cpu_count())


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def folder() -> Path | None:
    """The folder of the file; `None` where there can be none."""
    path = codegen_cache.root()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return path


def _read() -> dict[str, Any]:
    """The timings that can be used, by key."""
    place = folder()
    try:
        whole = json.loads((place / "timings.json").read_text()) if place else {}
        kept = whole["timings"] if whole["format"] == FORMAT else {}
        return {key: entry for key, entry in kept.items() if _is_usable(entry)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_usable(entry: Any) -> bool:
    seconds = entry["seconds"].values()
    return 0 <= time.time() - entry["at"] <= OLDEST and all(math.isfinite(s) and s > 0 for s in seconds)


def _write(timings: dict[str, Any]) -> None:
    """Replaces the file atomically."""
    place = folder()
    if place is None:
        return
    newest = sorted(timings.items(), key=lambda item: float(item[1]["at"]))[-MOST:]
    with suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=place, suffix=".tmp")
        with os.fdopen(handle, "w") as file:
            json.dump({"format": FORMAT, "timings": dict(newest)}, file)
        Path(temporary).replace(place / "timings.json")
