"""The programs that a plan chooses among: vectorized ones, and native code with the quickest matrix products."""

import torch
from torch import nn

from thalweg.errors import InputError
from thalweg.population.native import blas
from thalweg.population.native.program import NativeProgram
from thalweg.population.planning.backend import time_together, verified
from thalweg.population.planning.plan import NATIVE
from thalweg.population.planning.timings import key_of, timed
from thalweg.population.program.gradients import GradientProgram
from thalweg.population.program.programs import Programs
from thalweg.population.program.trial_models import TrialModels
from thalweg.population.training.job import Job

REAL = (torch.float32, torch.float64)


def programs_of(job: Job, tracing: nn.Module, name: str, products: str = "") -> Programs:
    """The programs of a model, not traced yet. products: as in `Plan`. Raises `InputError` where there are none."""
    if name == NATIVE:
        if products not in blas.libraries():
            raise InputError(f"The study was planned with the matrix products of {products}, which is not here.")
        made = (NativeProgram(job.workload, tracing, shared=shared, library=products) for shared in (True, False))
        return Programs(*made)
    unfolded = name == "unfolded"
    return Programs(*(GradientProgram(job.workload, tracing, shared=s, unfolded=unfolded) for s in (True, False)))


def library_of(programs: Programs) -> str:
    """The library whose products native programs call; empty for others."""
    return programs.shared.library if isinstance(programs.shared, NativeProgram) else ""


def natively(job: Job, models: TrialModels, seed: int) -> tuple[dict[str, Programs], dict[str, GradientProgram], str]:
    """The native programs and those of them that agree with the loop, by name; and why there are none."""
    if job.device.type != "cpu":
        return {}, {}, f"it is compiled for the CPU, not for {job.device.type}"
    if job.outside:
        return {}, {}, "the model draws random numbers of Python or NumPy"
    found = {library: programs_of(job, models.tracing, NATIVE, library) for library in blas.libraries()}
    first = next(iter(found))
    usable, reason = verified(job, {NATIVE: found[first].shared}, models, seed)
    if not usable:
        return {}, {}, reason
    best = _quickest(job, found, models, seed) if len(found) > 1 else first
    if best != first:
        usable, reason = verified(job, {NATIVE: found[best].shared}, models, seed)
    return {NATIVE: found[best]}, usable, reason


def _quickest(job: Job, found: dict[str, Programs], models: TrialModels, seed: int) -> str:
    """The library whose products make a step quickest. Timings are kept per machine."""

    def measure() -> dict[str, float]:
        return {library: time_together(job, of.shared, models, seed, 1) for library, of in found.items()}

    seconds = timed(f"{key_of(job, models.tracing, 1)} native", [*found], measure)
    return min(found, key=lambda library: seconds[library])
