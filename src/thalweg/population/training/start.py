"""The start of training: validation loss before the first update, and its standard deviation over batches."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from thalweg.population.program.models import build, state
from thalweg.population.training.evaluation import Evaluator
from thalweg.population.training.job import Job
from thalweg.workloads.split import Split
from thalweg.workloads.workload import Workload

BATCHES = 16  # at most, for the standard deviation of the loss over batches


@dataclass(frozen=True)
class Start:
    """One seed's start, in evaluation mode.

    loss: over the validation split; `None` if a loss is not finite or cannot be measured on batches.
    spread: standard deviation of the loss over batches of the validation split.
    """

    loss: float | None
    spread: float


UNKNOWN = Start(None, 0.0)


def start_of(job: Job, seed: int, model: nn.Module | None = None) -> Start:
    """A seed's start, measured once.

    model: a new one of this seed that is not trained itself; without one it is built, since the model in training gets
    no additional calls.
    """
    if seed not in job.cache.starts:
        model = model or build(job.workload, seed, job.device)
        job.cache.starts[seed] = _measured(job.workload, Evaluator(job, model), state(model), seed)
    start: Start = job.cache.starts[seed]
    return start


def _measured(workload: Workload, evaluator: Evaluator, tensors: Mapping[str, Tensor], seed: int) -> Start:
    """The start of a model with these initial tensors."""
    try:
        whole, *losses = [
            evaluator.alone(tensors, s, seed, 0, loss=True).losses[0] for s in (workload.validation, *batches(workload))
        ]
    except Exception:  # a loss may fail on so few samples: the start is unknown then
        return UNKNOWN
    if len(losses) < 2 or not all(map(math.isfinite, (whole, *losses))):
        return UNKNOWN
    return Start(whole, float(np.std(losses, ddof=1)) * _shrinkage(workload))


def batches(workload: Workload) -> list[Split]:
    """Up to `BATCHES` batches of one size, each strided over the whole validation split, which may be sorted."""
    return workload.validation.strided(_size(workload), BATCHES)  # type: ignore[no-any-return]


def _size(workload: Workload) -> int:
    """Samples per such batch: half of the split if it holds fewer than two full batches."""
    return max(1, min(workload.step_samples, len(workload.validation) // 2))


def _shrinkage(workload: Workload) -> float:
    """Factor from the standard deviation over batches of `_size` to that over full ones."""
    return math.sqrt(_size(workload) / workload.step_samples)
