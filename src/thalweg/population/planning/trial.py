"""Other libraries' optimizers, tried on the model's own parameters before anything trains."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from thalweg.errors import InputError
from thalweg.population.program.failures import raised
from thalweg.population.program.models import build
from thalweg.population.training.closures import step_by_closure
from thalweg.population.training.job import Job
from thalweg.population.training.loop import gradients_of
from thalweg.population.training.verification import first_batches
from thalweg.recipes.imported import Imported


def require_imported(job: Job, recipe: Imported, given: Sequence[Mapping[str, Any]], label: str, seed: int) -> None:
    """That the class takes the model's parameters with all that it is `given`, and is stepped as it has to be.

    Raises `InputError` where it does not take them, or where its step runs with a closure only and does not say so.
    A step that fails in any case ends its own runs, with its reason on record.
    """
    owner = f"{label}, for {job.workload.name!r},"
    for values in given:
        recipe.of(_trained(job, build(job.workload, seed, job.device)), values, owner)
    if recipe.needs_closure:
        return
    failure = _failure(job, recipe, given[0], seed, by_closure=False)
    if failure and not _failure(job, recipe, given[0], seed, by_closure=True):
        raise InputError(
            f"The step of {label} needs a closure ({failure}), and its `closure` has a default: give a class whose step"
            " takes it as an argument without one, and it is trained with closures."
        )


def _failure(job: Job, recipe: Imported, values: Mapping[str, Any], seed: int, *, by_closure: bool) -> str:
    """What one step raises; empty where it runs. Its model is its own: a constructor may leave hooks on parameters."""
    model, batch = build(job.workload, seed, job.device), first_batches(job.workload, 1)[0]
    optimizer = recipe.of(_trained(job, model), values, recipe.path)
    try:
        with torch.no_grad():
            if by_closure:
                step_by_closure(optimizer, lambda: gradients_of(job, model, batch, seed, 1)[0])
            else:
                gradients_of(job, model, batch, seed, 1)
                optimizer.step()
    except (Exception, SystemExit) as error:  # whatever somebody's step raises
        return raised(error)
    return ""


def _trained(job: Job, model: nn.Module) -> list[nn.Parameter]:
    return [p for name, p in model.named_parameters() if name in job.trained]
