"""The check before training: the tensor program against the plain loop, on three batches."""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from thalweg.options.declared import MIXED
from thalweg.population.program.failures import Disagreement, users_line
from thalweg.population.program.gradients import GradientProgram, whole
from thalweg.population.program.kept_traces import trace_key
from thalweg.population.program.models import stack, state
from thalweg.population.program.randomness import GENERATOR
from thalweg.population.program.reasons import CHANGING, of_vectorizing
from thalweg.population.program.trial_models import TrialModels
from thalweg.population.training.autograd import gradients_of
from thalweg.population.training.job import Job
from thalweg.workloads.source import Batch, Source
from thalweg.workloads.workload import Workload

SCALES = (1.0, 1.25)  # two members whose weights differ, so that control flow on values shows
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}  # relative to the largest element
LOOSE = 2**-4  # the same where the model computes in bfloat16, with 8 bits; float64 decides in any case
ROUNDING = 1e-4  # of the model's largest gradient; a smaller one is rounding, as of a bias before batch norm
DOUBLED = 32  # samples per batch in float64


def first_batches(workload: Workload, count: int) -> list[Batch]:
    """The first batches (at most 3) in the data's order; the third is as short as the last of an epoch."""
    n, size = len(workload.train), workload.step_samples
    last = min(size, n) if workload.drop_last else n % size or size
    sizes = [min(size, n), min(size, n), last][:count]
    source: Source = workload.train
    return source.first(sizes)


def disagreement(job: Job, program: GradientProgram, models: TrialModels, seed: int) -> str:
    """Why the program must not be used; empty if it agrees with the plain loop, which trains two of the `models`.

    In a large model, some unit of some sample lies within rounding of ReLU's kink, where gradients jump: a difference
    counts only if it remains in float64. If the user's code asks for parameters itself, float64 is compared in any
    case: the effect may be too small for float32.
    """
    try:
        with GENERATOR, warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*performance drop.*")
            reason = _compare(job, program, models.reset(), seed, partial(_keep, program, models))
            if not reason and (job.asks_for_parameters or job.workload.precision == MIXED):
                reason = _compare_in_double(job, program, models, seed)
            elif reason:
                reason = reason if _compare_in_double(job, program, models, seed) else ""
            return reason
    except Disagreement as error:
        return str(error)
    except Exception as error:  # any exception means that this model cannot be traced
        return of_vectorizing(error, users_line(error))


def _compare_in_double(job: Job, program: GradientProgram, models: TrialModels, seed: int) -> str:
    """`_compare` in float64, with smaller batches: convolutions in float64 are an order of magnitude slower."""
    workload = job.workload
    part = min(workload.batch_size, max(2, DOUBLED // workload.accumulate))
    size = part * workload.accumulate
    first = 3 * size + min(len(workload.train) % workload.step_samples, size - 1)  # an epoch's last may be short
    doubled = replace(workload, batch_size=part, train=workload.train.head(first).mapped(_double))
    plain = models.reset()
    try:
        for model in (*plain, models.tracing):
            model.double()
        program = program.of(doubled, models.tracing)
        return _compare(replace(job, workload=doubled), program, plain, seed, partial(_keep, program, models))
    finally:
        models.reset()


def _double(data: Tensor) -> Tensor:
    return data.double() if data.is_floating_point() else data


def _compare(
    job: Job,
    program: GradientProgram,
    models: Sequence[nn.Module],
    seed: int,
    keep: Callable[[Workload, "Sequence[Expected]"], None] | None = None,
) -> str:
    """The first difference in losses, gradients or buffers over three steps of plain gradient descent; else empty.

    models: one for each of `SCALES`, as built. keep: receives the results of the loop, before the program is traced.
    """
    batches = [*enumerate(first_batches(job.workload, 3), 1)]
    with torch.no_grad():
        for model, scale in zip(models, SCALES, strict=True):
            for p in model.parameters():
                p.mul_(scale)
        stacked = stack(dict(enumerate(models)), list(range(len(models))), set(job.trained))
        expected = {
            (step, m): _descended(job, model, b, seed, step) for step, b in batches for m, model in enumerate(models)
        }
        if keep is not None:
            keep(job.workload, [*expected.values()])
        for step, batch in batches:
            made, losses, buffers = program(stacked, job.workload.at(batch, step), [seed] * len(models), step)
            gradients = whole(made, stacked.parameters)
            stacked.buffers = buffers
            for m in range(len(models)):
                found = difference(job, expected[step, m], losses[m], _at(gradients, m), _at(buffers, m))
                if found == CHANGING:
                    return found
                if found:
                    return f"traced, {found} differs from the plain loop's at batch {step}"
            for name, tensor in stacked.parameters.items():
                tensor.sub_(0.01 * gradients[name])
    return ""


def _descended(job: Job, model: nn.Module, batch: Batch, seed: int, step: int) -> "Expected":
    """One step of plain gradient descent by the loop, and what it computed."""
    loss, gradients, _ = gradients_of(job, model, batch, seed, step)
    expected = Expected(loss, gradients, {name: b.detach().clone() for name, b in _untrained(job, model).items()})
    for name, parameter in model.named_parameters():
        if name in gradients:
            parameter.sub_(0.01 * gradients[name])
    return expected


def _untrained(job: Job, model: nn.Module) -> dict[str, Tensor]:
    """The buffers of a stack."""
    return {name: tensor for name, tensor in state(model).items() if name not in job.trained}


def _keep(program: GradientProgram, models: TrialModels, workload: Workload, results: "Sequence[Expected]") -> None:
    """Keeps the program's graphs for the next plan of a workload that computes the same, to the last bit."""
    digest = hashlib.blake2b(digest_size=16)
    with suppress(RuntimeError, TypeError):  # tensors without plain memory: nothing is kept
        for of in results:
            digest.update(of.loss.hex().encode())
            for tensor in (*of.gradients.values(), *of.buffers.values()):
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        program.keep(trace_key(workload, models.tracing, digest.digest()))


@dataclass(frozen=True)
class Expected:
    """Loss and gradients of a model on a batch, and its buffers afterwards."""

    loss: float
    gradients: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]


def difference(
    job: Job, expected: Expected, loss: Tensor, gradients: Mapping[str, Tensor], buffers: Mapping[str, Tensor]
) -> str:
    """The first result in which a member of the program differs from its model, or `CHANGING`; empty if they agree."""
    if set(expected.gradients) != set(job.trained):
        return CHANGING
    pairs = [("the loss", loss, torch.tensor(expected.loss, dtype=torch.float64))]
    pairs += [(f"the buffer {name}", b, expected.buffers[name]) for name, b in buffers.items()]
    loose = job.workload.precision == MIXED
    wrong = [name for name, ours, theirs in pairs if not close(ours, theirs, loose=loose)]
    least = ROUNDING * max(float(g.abs().max()) for g in expected.gradients.values())
    wrong += [
        f"the gradient of {n}" for n, g in expected.gradients.items() if not close(gradients[n], g, least, loose=loose)
    ]
    return wrong[0] if wrong else ""


def _at(tensors: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
    return {name: tensor[member] for name, tensor in tensors.items()}


def close(ours: Tensor, theirs: Tensor, least: float = 1e-6, *, loose: bool = False) -> bool:
    """Whether two tensors agree within `TOLERANCE`, relative to the largest element or to `least` if that is larger.

    loose: whether they were computed in bfloat16, if they are not of float64.
    """
    tolerance = TOLERANCE.get(ours.dtype, TOLERANCE[torch.float32])
    tolerance = LOOSE if loose and ours.dtype is not torch.float64 else tolerance
    ours, theirs = ours.detach().double(), theirs.detach().double().to(ours.device)
    scale = max(1e-6, least, float(theirs.abs().max()))
    return bool(torch.allclose(ours, theirs, rtol=0, atol=tolerance * scale, equal_nan=True))
