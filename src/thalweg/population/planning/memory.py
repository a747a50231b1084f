"""Memory per member, available memory, and the number of members that fit at once."""

import resource
import sys
from pathlib import Path

import torch

from thalweg.errors import InputError, counted
from thalweg.execution.dispatch import on_gpu
from thalweg.population.training.evaluation import evaluation_bytes, outputs_of_one
from thalweg.population.training.job import Job

WIDTH = 64  # members at once: they share a step's fixed cost; from about 100 on, cache misses cost more than that saves
WIDTH_ON_GPU = 256  # the same on a GPU: a step is one launch for all, and caches hardly matter
SHARE = 0.5  # of the free memory, if no limit is given
ASSUMED = 4 << 30  # bytes of free memory if the system does not report it
COMPILER = 190 << 20  # bytes of Numba and LLVM, loaded with the first kernel
CHECKED = 4  # members that a check holds, as modules and stacked
COPIES = 5  # tensors of the parameters' size per member: parameter, gradient, up to three states


def width(job: Job, workers: int, member: int, limit: int | None, freed: int = 0, workspace: int = 0) -> int:
    """Members at once per worker, up to `WIDTH` or `WIDTH_ON_GPU`. Raises `InputError` if `limit` fits none.

    freed: bytes that the process holds until training begins. workspace: bytes of each worker, whatever it trains.
    """
    room, most = _room(job.device, limit, freed), WIDTH_ON_GPU if on_gpu(job.device) else WIDTH
    live = workspace + 2 * job.model_bytes + job.activation_bytes  # the live model, its gradients: not the population
    one = outputs_of_one(job)
    beside = {count: max(live, workspace + evaluation_bytes(job, count, one)) for count in range(1, most + 1)}
    takes = {count: workers * (count * member + beside[count]) for count in beside}
    fits = sum(bytes_taken <= room for bytes_taken in takes.values())
    if limit is not None and fits < 1:
        needed = limit - room + takes[1]
        raise InputError(
            f"memory must be at least {megabytes(needed)} for {counted(workers, 'worker')} with one run each, got "
            f"{megabytes(limit)}: give more, or use fewer threads."
        )
    return max(1, fits)


def member(job: Job, activations: int) -> int:
    """Bytes per member: so many copies of its model, its best weights if it may stop early, a step's activations."""
    copies = max(COPIES, job.copies) + (job.early_stopping is not None)
    return copies * job.model_bytes + max(activations, job.activation_bytes)


def no_room_to_check(job: Job, limit: int | None) -> str:
    """Why a program cannot be checked within the available memory; empty if it can."""
    needed, room = CHECKED * member(job, 0), _room(job.device, limit)
    if needed <= room:
        return ""
    return f"checking whether runs can train at once needs {megabytes(needed)}, of which {megabytes(room)} are free"


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"


def _room(device: torch.device, limit: int | None, freed: int = 0) -> int:
    """Bytes available to members: `limit` less what the process holds, if free; without one, `SHARE` of free memory."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        return min(int(SHARE * free), limit or free)
    return int(SHARE * _free()) if limit is None else min(limit - held() - coming() + freed, _free())


def coming() -> int:
    """Bytes that the kernel compiler will take; 0 once it is loaded."""
    return 0 if "numba" in sys.modules else COMPILER


def held() -> int:
    """Resident memory of this process in bytes."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):  # not Linux: the peak instead, in kilobytes except on macOS
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak << 10


def _free() -> int:
    """Bytes available without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not Linux
        return ASSUMED
