"""Loss and gradients of a batch by autograd: the reference of the tensor program."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from thalweg.errors import ReturnValueError
from thalweg.population.program.models import forget_gradients
from thalweg.population.program.randomness import seeded
from thalweg.population.training.job import Job
from thalweg.workloads.source import Batch


class Evaluated(NamedTuple):
    """Loss and dense gradients of one batch; parameters that the loss does not depend on have none.

    parameters: all of the model's after the call, which may have replaced some.
    """

    loss: float
    gradients: dict[str, Tensor]
    parameters: dict[str, nn.Parameter]


def gradients_of(
    job: Job, model: nn.Module, batch: Batch, seed: int, step: int, forget: Callable[[], object] | None = None
) -> Evaluated:
    """Evaluates one batch, forward and backward.

    forget: another library's `zero_grad`, which may keep accumulated gradients; by default all gradients are cleared.
    """
    if forget is None:
        forget_gradients(model)
    else:
        forget()
    with torch.enable_grad(), seeded(seed, step, random=job.random, outside=job.outside):
        loss = _differentiated(job, model, job.workload.at(batch, step))
    parameters = dict(model.named_parameters())
    return Evaluated(loss, {name: _dense(p.grad) for name, p in parameters.items() if p.grad is not None}, parameters)


def _differentiated(job: Job, model: nn.Module, batch: Batch) -> float:
    """The loss of a batch; adds its gradients to the parameters', part by part."""
    objective, total = job.workload.objective, 0.0
    for share, part in objective.parts(batch):
        loss = objective.training_loss(model, part)
        if not loss.requires_grad:
            raise ReturnValueError(
                f"The loss of {job.workload.name!r} depends on no parameter: nothing can be trained."
            )
        (loss if share == 1 else share * loss).backward()  # type: ignore[no-untyped-call]
        total += share * loss.item()
    return total


def _dense(gradient: Tensor) -> Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient
