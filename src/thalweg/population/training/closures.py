"""Steps of optimizers that evaluate the batch themselves through a closure, as L-BFGS does."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from thalweg.population.training.job import Job
from thalweg.population.updates.clipping import clipped


def step_by_closure(optimizer: torch.optim.Optimizer, evaluate: Callable[[], float]) -> float:
    """Steps once; returns the loss of the first evaluation. `evaluate` sets the parameters' gradients each time."""
    losses: list[float] = []

    def closure() -> Tensor:
        losses.append(evaluate())
        return torch.tensor(losses[-1])

    with torch.enable_grad():  # as in a user's loop
        optimizer.step(closure)  # type: ignore[arg-type]
    if not losses:
        raise RuntimeError("its step takes a closure and does not call it")
    return losses[0]


def give(job: Job, model: nn.Module, gradients: Mapping[str, Tensor]) -> None:
    """Sets the gradients of the trained parameters, clipped to `job.clip_norm`; the others' are `None`."""
    stacked = {name: g[None] for name, g in gradients.items() if name in job.trained}
    if job.clip_norm is not None:
        stacked = clipped(stacked, job.clip_norm)
    for name, parameter in model.named_parameters():
        parameter.grad = stacked[name][0] if name in stacked else None
