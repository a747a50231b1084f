"""Timing of the backends: the plain loop, or a population with grouped or unfolded convolutions."""

import time
from collections.abc import Callable, Mapping
from functools import partial

import torch

from thalweg.population.planning.timings import key_of, timed
from thalweg.population.program.gradients import GradientProgram, whole
from thalweg.population.program.models import stack
from thalweg.population.program.trial_models import TrialModels
from thalweg.population.training.autograd import gradients_of
from thalweg.population.training.job import Job
from thalweg.population.training.verification import disagreement, first_batches

LOOP = "loop"  # the name of the plain loop's timing
REPEATS = 9
PATIENCE = 1.0  # seconds of timed calls after which no further one is timed
NARROW = 2  # members to time: that width is traced already, and a wider population is only faster per run
MARGIN = 1.5  # factor for noise and a wider population's gain before the loop is preferred
CONVOLVING = 4  # members to time with convolutions: a wider population may also be slower, so without margin


def verified(
    job: Job, programs: Mapping[str, GradientProgram], models: TrialModels, seed: int
) -> tuple[dict[str, GradientProgram], str]:
    """Returns (programs that agree with the loop, by name; why none may be used, empty if any agrees)."""
    reasons = {name: disagreement(job, program, models, seed) for name, program in programs.items()}
    agreeing = {name: program for name, program in programs.items() if not reasons[name]}
    return agreeing, "" if agreeing else next(iter(reasons.values()))


def quickest(
    job: Job, programs: Mapping[str, GradientProgram], models: TrialModels, seed: int, width: int
) -> tuple[str, str]:
    """Returns (name of the fastest program, why the loop is preferred to it; empty if it is not).

    Timings are kept per machine. A model without convolutions has one program, with an empty name.
    """
    members, margin = (NARROW, MARGIN) if "" in programs else (max(NARROW, min(CONVOLVING, width)), 1.0)

    def measure() -> dict[str, float]:
        together = {name: time_together(job, program, models, seed, members) for name, program in programs.items()}
        return {**together, LOOP: time_alone(job, models, seed)}

    seconds = timed(key_of(job, models.tracing, members), (*programs, LOOP), measure)
    alone, together = seconds[LOOP], {name: seconds[name] for name in programs}
    name = min(together, key=lambda name: together[name])
    if together[name] <= margin * alone:
        return name, ""
    figures = " and ".join(f"{t * 1e6:.0f}" + (f" ({name})" if name else "") for name, t in together.items())
    return name, f"it is faster here, {alone * 1e6:.0f} against {figures} µs per run and step"


def time_together(job: Job, program: GradientProgram, models: TrialModels, seed: int, members: int) -> float:
    """Seconds of the vectorized program per run and step."""
    (model, _), batch = models.reset(), job.workload.at(first_batches(job.workload, 1)[0], 1)
    seeds = [seed] * members
    stacked = stack({seed: model}, seeds, set(job.trained), program.output_major)
    return _seconds(lambda: whole(program(stacked, batch, seeds, 1)[0], stacked.parameters), job.device) / members


def time_alone(job: Job, models: TrialModels, seed: int) -> float:
    """Seconds of the plain loop per run and step."""
    (model, _), batch = models.reset(), first_batches(job.workload, 1)[0]
    return _seconds(lambda: gradients_of(job, model, batch, seed, 1), job.device)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """The minimum over some calls on one thread, as in the workers, each synchronized with the device."""
    wait = partial(torch.get_device_module(device).synchronize, device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times: list[float] = []
    try:
        with torch.no_grad():
            call()  # the first warms up, or traces
            wait()
            while len(times) < REPEATS and sum(times) < PATIENCE:
                began = time.perf_counter()
                call()
                wait()
                times.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return min(times)
