"""Trial of other libraries' optimizers on the model's own parameters before training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from thalweg.errors import InputError
from thalweg.population.planning.calls import head
from thalweg.population.program.failures import raised
from thalweg.population.program.late_draws import DrawsLate, Undrawn
from thalweg.population.program.models import build
from thalweg.population.program.trial_models import TrialModels
from thalweg.population.training.autograd import gradients_of
from thalweg.population.training.job import Job, JobCache
from thalweg.population.training.model_optimizers import step_by_closure
from thalweg.population.training.verification import first_batches
from thalweg.recipes.imported import Imported
from thalweg.workloads.workload import Split

FEW = 4  # samples on which a step of a large model is tried


def require_imported(
    job: Job, models: TrialModels, recipe: Imported, given: Sequence[Mapping[str, Any]], label: str, seed: int
) -> None:
    """Constructs the optimizer with all `given` hyperparameters in turn, and tests a step of the first.

    An optimizer that draws random numbers is added to the job's cache. Raises `InputError` if it rejects the parameters
    or values, or if its step needs a closure although its signature makes it optional. A step that fails either way
    ends its own runs in training, with the reason recorded.
    """
    owner, drawing, job = f"{label}, for {job.workload.name!r},", job.cache.drawing, rehearsal(job, models, seed)
    for values in given:
        recipe.of(_trained(job, build(job.workload, seed, job.device)), values, owner)
    if recipe.needs_closure:
        return
    with Undrawn(seeded=False) as undrawn:
        failure = _failure(job, recipe, given[0], seed, by_closure=False)
        try:
            undrawn.require(quickly=False)
        except DrawsLate:
            drawing.add(recipe.name)
    if failure and not _failure(job, recipe, given[0], seed, by_closure=True):
        raise InputError(
            f"The step of {label} needs a closure ({failure}), and its `closure` has a default: give a class whose step"
            " takes it as an argument without one, and it is trained with closures."
        )


def rehearsal(job: Job, models: TrialModels, seed: int) -> Job:
    """The job for timings and trials: on replicas of a model, or on new models where steps do not reach a replica's
    parameters, as of code that holds on to the original's. What is found of them is not kept for the training.
    """
    apart = replace(job, built={}, cache=JobCache())
    trial = replace(apart, workload=models.on_replicas(job.workload))
    batch = first_batches(job.workload, 1)[0]
    try:
        model = build(trial.workload, seed, job.device)
        evaluated = gradients_of(trial, model, head(Split(*batch), FEW) if job.large else batch, seed, 1)
    except Exception:  # the user's code may raise anything
        return apart
    return trial if set(evaluated.gradients) == job.trained else apart


def _failure(job: Job, recipe: Imported, values: Mapping[str, Any], seed: int, *, by_closure: bool) -> str:
    """The error of one step; empty if it runs. Uses new tensors: a constructor may leave hooks on parameters."""
    model, batch = build(job.workload, seed, job.device), first_batches(job.workload, 1)[0]
    optimizer = recipe.of(_trained(job, model), values, recipe.path)
    try:
        with torch.no_grad():
            if by_closure:
                step_by_closure(optimizer, lambda: gradients_of(job, model, batch, seed, 1).loss)
            else:
                gradients_of(job, model, batch, seed, 1)
                with torch.enable_grad():
                    optimizer.step()
    except (Exception, SystemExit) as error:  # another library's step may raise anything
        return raised(error)
    return ""


def _trained(job: Job, model: nn.Module) -> list[nn.Parameter]:
    return [p for name, p in model.named_parameters() if name in job.trained]
