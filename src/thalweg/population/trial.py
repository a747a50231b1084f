"""Other libraries' optimizers, tried on the model's own parameters before anything trains."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from thalweg.errors import InputError
from thalweg.population.alone import gradients_of
from thalweg.population.closures import step_by_closure
from thalweg.population.job import Job, raised
from thalweg.population.models import build
from thalweg.population.verification import first_batches
from thalweg.recipes.imported import Imported


def require_steps(job: Job, recipe: Imported, given: Sequence[Mapping[str, Any]], label: str, seed: int) -> None:
    """That the class takes the model's parameters with all that it is `given`, and a step with the first of it.

    Raises `InputError` where it does not.
    """
    owner = f"{label}, for {job.workload.name!r},"
    for values in given[1:]:
        recipe.of(_trained(job, build(job.workload, seed, job.device)), values, owner)
    model = build(job.workload, seed, job.device)  # of its own: a constructor may leave hooks on parameters
    optimizer = recipe.of(_trained(job, model), given[0], owner)
    batch = first_batches(job.workload, 1)[0]
    try:
        with torch.no_grad():
            if recipe.needs_closure:
                step_by_closure(optimizer, lambda: gradients_of(job, model, batch, seed, 1)[0])
            else:
                gradients_of(job, model, batch, seed, 1)
                optimizer.step()
    except (Exception, SystemExit) as error:  # whatever somebody's step raises
        raise InputError(f"{label} cannot train {job.workload.name!r}: its step raises {raised(error)}.") from error


def _trained(job: Job, model: nn.Module) -> list[nn.Parameter]:
    return [p for name, p in model.named_parameters() if name in job.trained]
