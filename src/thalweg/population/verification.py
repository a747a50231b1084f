"""The check before training: the tensor program against the plain loop, on three batches."""

import warnings

import torch
from torch import Tensor

from thalweg.population.alone import gradients_of
from thalweg.population.batches import take
from thalweg.population.gradients import GradientProgram, whole
from thalweg.population.job import Job
from thalweg.population.models import build, stack, state
from thalweg.workloads.workload import Workload

SCALES = (1.0, 1.25)  # two members whose weights differ, so that control flow on values shows
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}  # of the largest element


def first_batches(workload: Workload, count: int) -> list[tuple[tuple[Tensor, ...], Tensor]]:
    """The first batches in the data's order; the last of three is as short as the last of an epoch."""
    n, size = len(workload.train), workload.batch_size
    last = n % size or size
    sizes = [min(size, n), min(size, n), last][:count]
    indices = [torch.arange(i * size, i * size + s) % n for i, s in enumerate(sizes)]
    return [(tuple(take(x, i) for x in workload.train.inputs), take(workload.train.targets, i)) for i in indices]


def disagreement(job: Job, program: GradientProgram, seed: int) -> str:
    """Why the program must not be used; empty where it agrees with the loop."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*performance drop.*")
            return _compare(job, program, seed)
    except Exception as error:  # whatever tracing raises means that this model cannot be traced
        text = str(error).strip().split("\n")[0]
        return f"the model cannot be vectorized ({type(error).__name__}: {text[:160]})"


def _compare(job: Job, program: GradientProgram, seed: int) -> str:
    """Three steps of plain gradient descent by both, losses, gradients and buffers compared at each."""
    models = [build(job.workload, seed, job.device) for _ in SCALES]
    with torch.no_grad():
        for model, scale in zip(models, SCALES, strict=True):
            for p in model.parameters():
                p.mul_(scale)
        stacked = stack(dict(enumerate(models)), list(range(len(models))), set(job.trained))
        for step, batch in enumerate(first_batches(job.workload, 3), 1):
            made, losses, buffers = program(stacked, batch, [seed] * len(models), step)
            gradients = whole(made, stacked.parameters)
            stacked.buffers = buffers
            for m, model in enumerate(models):
                loss, expected = gradients_of(job, model, batch, seed, step)
                if set(expected) != set(job.trained):
                    return "which parameters the loss depends on changes from batch to batch"
                pairs = [("loss", losses[m], torch.tensor(loss, dtype=torch.float64))]
                pairs += [(f"gradient of {name}", gradients[name][m], g) for name, g in expected.items()]
                pairs += [(f"buffer {name}", b[m], state(model)[name]) for name, b in buffers.items()]
                wrong = [name for name, ours, theirs in pairs if not _close(ours, theirs)]
                if wrong:
                    return f"traced, the {wrong[0]} differs from the plain loop's at batch {step}"
                for name, parameter in model.named_parameters():
                    if name in expected:
                        parameter.sub_(0.01 * expected[name])
            for name, tensor in stacked.parameters.items():
                tensor.sub_(0.01 * gradients[name])
    return ""


def _close(ours: Tensor, theirs: Tensor) -> bool:
    tolerance = TOLERANCE.get(ours.dtype, TOLERANCE[torch.float32])
    ours, theirs = ours.detach().double(), theirs.detach().double().to(ours.device)
    return bool(
        torch.allclose(ours, theirs, rtol=0, atol=tolerance * max(1e-6, float(theirs.abs().max())), equal_nan=True)
    )
