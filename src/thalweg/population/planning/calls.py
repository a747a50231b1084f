"""Calls of the user's code in an inspection; what it raises becomes one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from thalweg.errors import InputError
from thalweg.population.planning.pairing import paired_by_torch
from thalweg.population.program.failures import exhausted, users_fault
from thalweg.population.program.randomness import seeded
from thalweg.population.training.autograd import gradients_of
from thalweg.population.training.job import Job
from thalweg.population.training.verification import first_batches
from thalweg.workloads.source import Batch, Source
from thalweg.workloads.workload import Workload


def stepped(job: Job, model: nn.Module, batch: Batch, seed: int) -> tuple[float, frozenset[str]]:
    """The loss of a batch, and the names of the parameters it depends on. Raises `InputError` if there are none."""
    with blamed(job.workload, model, "train", batch):
        evaluated = gradients_of(job, model, batch, seed, 1)
    if not evaluated.gradients:
        raise InputError(
            f"The loss of {job.workload.name!r} reaches no parameter of the model: nothing can be trained."
        )
    return evaluated.loss, frozenset(evaluated.gradients)


def forward(job: Job, model: nn.Module, batch: Batch, seed: int) -> None:
    with blamed(job.workload, model, "train", batch), torch.no_grad(), seeded(seed, 1, random=job.random):
        for _, part in job.workload.objective.parts(job.workload.at(batch, 1)):
            job.workload.objective.training_loss(model, part)


def evaluated(job: Job, model: nn.Module, split: str, batch: Batch) -> Any:
    """The outputs in evaluation mode; training mode is set afterwards."""
    with blamed(job.workload, model, split, batch), torch.no_grad():
        model.eval()
        outputs = job.workload.objective.outputs(model, job.workload.at(batch, 0))
    model.train()
    if not any(isinstance(leaf, Tensor) for leaf in tree_leaves(outputs)):
        raise InputError(
            f"The model of {job.workload.name!r} must return a tensor, or several, got {type(outputs).__name__}."
        )
    return outputs


def batches_of(workload: Workload) -> list[Batch]:
    with blamed(workload):
        batches = first_batches(workload, 3)
    return batches


def head(source: Source, samples: int) -> Batch:
    """The first samples of a split, or all if there are fewer."""
    return source.first([min(samples, len(source))])[0]


@contextmanager
def blamed(
    workload: Workload, model: nn.Module | None = None, split: str = "", batch: Batch | None = None
) -> Iterator[None]:
    """Re-raises exceptions of the user's code as `InputError`, one sentence with dtypes and shapes of its data."""
    try:
        with paired_by_torch(workload.name):
            yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        if exhausted(error):
            raise InputError(
                f"There is not enough memory for one run of {workload.name!r}: free some, or make the model, the batch"
                " or the data smaller."
            ) from error
        given = "" if model is None or batch is None else _facts(model, split, batch)
        raise users_fault(workload, error, given) from error


def _facts(model: nn.Module, split: str, batch: Batch) -> str:
    """`"in train, X is float64 [32, 4], y int64 [32], the parameters float32"`, and advice if dtypes differ."""
    inputs = f"X is {' and '.join(map(_described, batch[0]))}, " if batch[0] else ""
    dtypes = {p.dtype for p in model.parameters() if p.is_floating_point()}
    held = " and ".join(sorted(_name(dtype) for dtype in dtypes))
    odd = any(x.is_floating_point() and x.dtype not in dtypes for x in batch[0])
    advice = f": convert X to {held}" if odd and len(dtypes) == 1 else ""
    if split == "train" and len(batch[1]) == 1:
        advice += "; the last batch of an epoch holds one sample: give another batch_size, or drop_last=True"
    return f"in {split}, {inputs}y {_described(batch[1])}, the parameters {held}{advice}"


def _described(tensor: Tensor) -> str:
    return f"{_name(tensor.dtype)} {list(tensor.shape)}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
