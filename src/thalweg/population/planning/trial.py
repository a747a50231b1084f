"""Trial of other libraries' optimizers on the model's own parameters before training."""

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
    """Constructs the optimizer with all `given` hyperparameters in turn, and tests a step of the first.

    Raises `InputError` if it rejects the parameters or values, or if its step needs a closure although its signature
    makes it optional. A step that fails either way ends its own runs in training, with the reason recorded.
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
    """The error of one step; empty if it runs. Uses a new model: a constructor may leave hooks on parameters."""
    model, batch = build(job.workload, seed, job.device), first_batches(job.workload, 1)[0]
    optimizer = recipe.of(_trained(job, model), values, recipe.path)
    try:
        with torch.no_grad():
            if by_closure:
                step_by_closure(optimizer, lambda: gradients_of(job, model, batch, seed, 1)[0])
            else:
                gradients_of(job, model, batch, seed, 1)
                with torch.enable_grad():
                    optimizer.step()
    except (Exception, SystemExit) as error:  # another library's step may raise anything
        return raised(error)
    return ""


def _trained(job: Job, model: nn.Module) -> list[nn.Parameter]:
    return [p for name, p in model.named_parameters() if name in job.trained]
