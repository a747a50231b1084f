"""Facts of a model's outputs: by samples or not, of each sample alone or not, changed by its own gradients."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from thalweg.errors import InputError
from thalweg.options.declared import MIXED
from thalweg.population.planning.calls import evaluated, head, stepped
from thalweg.population.program.models import forget_gradients
from thalweg.population.program.randomness import Drawn
from thalweg.population.training.job import Job
from thalweg.workloads.source import Batch

FEWER = 2  # samples to compare a batch's outputs with: cheap for large models


def by_samples(job: Job, model: nn.Module, outputs: Any, batch: Batch, drawn: Drawn) -> bool:
    """Whether all output tensors are `[samples, …]`, and all else is the same for fewer samples."""
    if not _of_samples(outputs, len(batch[1])):
        return False
    fewer = min(FEWER, len(batch[1]) - 1)
    if not fewer:
        return _by_samples_of_two(job, model, drawn)
    try:
        with drawn:
            others = evaluated(job, model, "train", batch.head(fewer))
    except InputError:  # the model takes one batch size only
        return True
    beside = [[x for x in tree_leaves(of) if not isinstance(x, Tensor)] for of in (outputs, others)]
    shapes = [[o.shape[1:] for o in _tensors(of)] for of in (outputs, others)]
    return _of_samples(others, fewer) and shapes[0] == shapes[1] and repr(beside[0]) == repr(beside[1])


def _by_samples_of_two(job: Job, model: nn.Module, drawn: Drawn) -> bool:
    """Answers `by_samples` with two samples, where batches have one."""
    two = head(job.workload.train, 2)
    if len(two[1]) < 2:
        return False
    with drawn:
        outputs = evaluated(job, model, "train", two)
    return by_samples(job, model, outputs, two, drawn)


def mixes_samples(job: Job, model: nn.Module, batch: Batch, seed: int) -> bool:
    """Whether a sample's outputs depend on the rest of the batch; False if random, or fixed to one batch size."""
    drawn, half = Drawn(seed), len(batch[1]) // 2
    if not half:
        return False
    try:
        whole, part = _answers(job, model, batch, drawn), _answers(job, model, batch.head(half), drawn)
    except InputError:  # the model takes one batch size only
        return False
    if drawn.here or drawn.outside:
        return False
    mine = [o[:half] for o in whole if o.ndim and len(o) == len(batch[1])]
    return not _alike_tensors(mine, [o for o in part if o.ndim], mixed=job.workload.precision == MIXED)


def reads_gradients(job: Job, model: nn.Module, batch: Batch, seed: int, drawn: Drawn) -> bool:
    """Whether the outputs change while the parameters have gradients."""
    with drawn:
        stepped(job, model, batch, seed)
    with_gradients = _answers(job, model, batch, drawn)
    forget_gradients(model)
    return not _alike_tensors(with_gradients, _answers(job, model, batch, drawn))


def _answers(job: Job, model: nn.Module, batch: Batch, drawn: Drawn) -> list[Tensor]:
    with drawn:
        outputs = tree_leaves(job.workload.objective.answers(evaluated(job, model, "train", batch)))
    return [o.detach().clone() for o in outputs if isinstance(o, Tensor)]


def _alike_tensors(ours: list[Tensor], theirs: list[Tensor], *, mixed: bool = False) -> bool:
    """mixed: whether they were computed in bfloat16."""
    relative, absolute = (2**-5, 2**-5) if mixed else (1e-3, 1e-5)
    return all(
        a.shape != b.shape or torch.allclose(a, b, rtol=relative, atol=absolute, equal_nan=True)
        for a, b in zip(ours, theirs, strict=False)
    )


def _of_samples(outputs: Any, samples: int) -> bool:
    """Whether all tensors are `[samples, …]`, but for single numbers, which are averaged."""
    return all(o.shape[0] == samples if o.ndim else o.is_floating_point() for o in _tensors(outputs))


def _tensors(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]


def buffers(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the model's buffers, by name."""
    return {name: buffer.detach().clone() for name, buffer in model.named_buffers()}


def written(before: Mapping[str, Tensor], model: nn.Module) -> str:
    """The name of a buffer that has changed; empty if none has."""
    after = dict(model.named_buffers())
    return next((name for name in (*before, *after) if not _same(before.get(name), after.get(name))), "")


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
        return a is b
    return torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
