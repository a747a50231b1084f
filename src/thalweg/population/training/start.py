"""Where training begins: the validation loss before the first update, and how much batches differ in it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from thalweg.population.program.models import build, state
from thalweg.population.training.batches import take
from thalweg.population.training.evaluation import Evaluator
from thalweg.population.training.job import Job
from thalweg.workloads.workload import Split, Workload

BATCHES = 16  # at most, whose losses tell how much they differ


@dataclass(frozen=True)
class Start:
    """One seed's start, in evaluation mode.

    loss: over the validation split; `None` where it is not finite, or too little is known to judge by it.
    spread: standard deviation of the loss of batches from the validation split.
    """

    loss: float | None
    spread: float


UNKNOWN = Start(None, 0.0)


def start_of(job: Job, seed: int) -> Start:
    """A seed's start, measured once: by a model of its own, so that the one that is trained is called no more often."""
    if seed not in job.starts:
        model = build(job.workload, seed, job.device)
        job.starts[seed] = _measured(job.workload, Evaluator(job, model), state(model), seed)
    start: Start = job.starts[seed]
    return start


def _measured(workload: Workload, evaluator: Evaluator, tensors: Mapping[str, Tensor], seed: int) -> Start:
    """The start of a model with these tensors, which are its initial ones."""
    try:
        whole, *losses = [
            evaluator.alone(tensors, s, seed, 0, loss=True)[1] for s in (workload.validation, *batches(workload))
        ]
    except Exception:  # a loss may not take as few samples: nothing is judged then
        return UNKNOWN
    if len(losses) < 2 or not all(map(math.isfinite, (whole, *losses))):
        return UNKNOWN
    return Start(whole, float(np.std(losses, ddof=1)) * _shrinkage(workload))


def batches(workload: Workload) -> list[Split]:
    """Up to `BATCHES` of the validation split, of one size, spread over all of it whatever its order."""
    split, size = workload.validation, _size(workload)
    stride = len(split) // size
    indices = [torch.arange(i, size * stride, stride) for i in range(min(BATCHES, stride))]
    return [Split(tuple(take(x, i) for x in split.inputs), take(split.targets, i)) for i in indices]


def _size(workload: Workload) -> int:
    """Samples of such a batch: half of the split where it holds fewer than two whole ones."""
    return max(1, min(workload.batch_size, len(workload.validation) // 2))


def _shrinkage(workload: Workload) -> float:
    """From the spread of batches of that size to the spread of whole ones."""
    return math.sqrt(_size(workload) / workload.batch_size)
