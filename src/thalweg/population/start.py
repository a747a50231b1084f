"""Where training begins: the validation loss before the first update, and how much batches differ in it."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.population.batches import take
from thalweg.population.evaluation import Evaluator
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


def start_of(workload: Workload, evaluator: Evaluator, tensors: Mapping[str, Tensor], seed: int) -> Start:
    """The start of a model with these tensors, which are its initial ones."""
    _, loss = evaluator.alone(tensors, workload.validation, seed, 0, loss=True)
    try:
        losses = [evaluator.loss(tensors, batch, seed) for batch in batches(workload)]
    except Exception:  # a loss may not take as few samples: nothing is judged then
        losses = []
    if len(losses) < 2 or not all(map(math.isfinite, (loss, *losses))):
        return Start(None, 0.0)
    return Start(loss, statistics.stdev(losses) * _shrinkage(workload))


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
