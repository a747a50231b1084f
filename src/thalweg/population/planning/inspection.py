"""Inspection of the user's code before training, which reports its errors at once."""

import time
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from thalweg.population.planning.calls import batches_of, blamed, evaluated, forward, head, stepped
from thalweg.population.planning.cost import OperationCount, model_bytes
from thalweg.population.planning.labels import require_labels
from thalweg.population.planning.outputs import buffers, by_samples, mixes_samples, reads_gradients, written
from thalweg.population.planning.pairing import paired_by_torch, require_pairs
from thalweg.population.planning.repeatability import require_repeatable
from thalweg.population.planning.requirements import (
    require_measurable,
    require_new,
    require_own_buffers,
    require_own_loss,
    require_own_seeds,
    require_trainable,
)
from thalweg.population.program import reasons
from thalweg.population.program.keras_models import is_keras
from thalweg.population.program.models import build, made, state
from thalweg.population.program.python_state import (
    as_built,
    changed,
    fingerprints,
    reaches_parameters,
    referred,
    unseen,
)
from thalweg.population.program.randomness import Drawn
from thalweg.population.program.trial_models import TrialModels
from thalweg.population.training.evaluation import chunk_size, output_bytes
from thalweg.population.training.job import Job
from thalweg.population.training.live_parameters import share_memory
from thalweg.workloads.content import model_content
from thalweg.workloads.reuse import notes_on_reuse
from thalweg.workloads.source import Batch

FEW = 4  # samples to test whether a large model gives the same loss twice


def inspect(job: Job, seed: int, *, resettable: bool = False) -> tuple[Job, TrialModels]:
    """Returns the job with findings from some calls of the user's code (parameters trained, random draws, state kept),
    and the models that were built for it.

    resettable: whether the models are put back later even if they are large. Raises `InputError` if the model, the loss
    or the metric fails on a split or violates a requirement.
    """
    with blamed(job.workload):
        job, models, drawn_by_seed, notes_on_models = _built(job, seed, resettable)
    model, other, third = models.first, models.second, models.tracing
    first, _, last = batches_of(job.workload)
    versions = {name: buffer._version for name, buffer in model.named_buffers() if not buffer.is_inference()}
    before, drawn = fingerprints(job.workload, model), Drawn(seed)
    of_other = fingerprints(job.workload, other)
    job, loss = _counted(job, model, first, seed, drawn)
    shared = changed(of_other, fingerprints(job.workload, other))  # by calls of the first model
    require_own_loss(job.workload, (other, third))
    if job.large:
        losses = _of_few(job, other, model if drawn_by_seed else third, first, seed, drawn)
    else:
        losses = [loss, _again(job, other, first, seed, drawn)]
    with drawn:
        if len(last[1]) != len(first[1]):  # large models forward only, where a last batch would fail
            (forward if job.large else stepped)(job, model, last, seed)
        require_measurable(job, model, seed)
    _require_pairs(job, model, first, drawn)
    job = replace(job, random=drawn.here, outside=drawn.outside)
    kept = changed(before, fingerprints(job.workload, model))
    shared = shared or reasons.shared(kept)
    reason, notes = _read(job, model, kept, shared, losses)
    reason = reason or (reasons.of_seed(drawn_by_seed) if drawn_by_seed else "")
    require_own_seeds(job.workload, drawn)
    require_own_buffers(model, other, versions)
    notes += notes_on_models
    if not reason and (name := unseen(job.workload, model)):
        notes += (reasons.of_unseen(name),)
    if not job.large and reads_gradients(job, model, first, seed, drawn):
        reason = reason or reasons.GRADIENTS
    if mixes_samples(job, model, first.head(FEW) if job.large else first, seed):
        notes += (reasons.of_together(chunk_size(job)),)
    if drawn.restores:
        notes, shared = (*notes, reasons.RESTORES), shared or "torch's random state"
    asks = reaches_parameters(job.workload, model)
    return replace(job, only_loop=reason, shared_state=shared, asks_for_parameters=asks, notes=notes), models


def _built(job: Job, seed: int, resettable: bool) -> tuple[Job, TrialModels, str, tuple[str, ...]]:
    """Returns (the job with facts of new models, the models, an attribute that differs by seed, notes on them).

    These are the only calls of `model()` before training.
    """
    began = time.perf_counter()
    model, other = (build(job.workload, seed, job.device) for _ in range(2))
    building = (time.perf_counter() - began) / 2
    require_trainable(job.workload, model)
    require_new(model, other)
    third = made(job.workload, seed + 1)
    third.to(job.device)
    notes = (reasons.ALIKE,) * _alike(model, third) + notes_on_reuse(third, job.workload.initial, job.workload.freeze)
    notes += (reasons.FROZEN_MODE,) * (not all(m.training for m in third.modules()))
    third.train()
    built, size = as_built(model), model_bytes(model)
    count = sum(p.numel() for p in model.parameters())
    facts: dict[str, Any] = {"built": built, "parameters": count, "content": model_content(model)}
    job = replace(job, building=building, model_bytes=size, **facts)
    models = TrialModels(model, other, third, resettable=resettable or not job.large)
    return job, models, changed(built, as_built(third)) or _reshaped(model, third), notes


def _reshaped(model: nn.Module, other: nn.Module) -> str:
    """The first parameter or buffer of another shape, or that one of two models lacks; empty if there is none."""
    ours, theirs = ({name: t.shape for name, t in state(m).items()} for m in (model, other))
    return next((name for name in (*ours, *theirs) if ours.get(name) != theirs.get(name)), "")


def _counted(job: Job, model: nn.Module, batch: Batch, seed: int, drawn: Drawn) -> tuple[Job, float]:
    """Returns (the job with findings and costs of one evaluation and one step, the loss of that step)."""
    held = buffers(model)
    with drawn:
        outputs = evaluated(job, model, "train", batch)
        require_labels(job.workload, outputs)
    if name := written(held, model):
        job = replace(job, only_loop=reasons.of_evaluation(name))
    with paired_by_torch(job.workload.name):
        require_repeatable(job.workload.objective, outputs, batch[1])
    job = replace(job, output_bytes=output_bytes(outputs, len(batch[1])))
    job = replace(job, whole_outputs=not by_samples(job, model, outputs, batch, drawn))
    with drawn, OperationCount() as cost:
        loss, trained = stepped(job, model, batch, seed)
    return replace(job, trained=trained, operations=cost.operations, activation_bytes=cost.activations), loss


def _require_pairs(job: Job, model: nn.Module, batch: Batch, drawn: Drawn) -> None:
    """Of each split: their targets may differ in shape."""
    splits = {"validation": job.workload.validation, "test": job.workload.test}
    few = FEW if job.large else len(batch.targets)
    batches = {"train": batch.head(few), **{name: head(of, few) for name, of in splits.items() if of is not None}}
    for split, of in batches.items():
        with blamed(job.workload, model, split, of):
            require_pairs(job, model, of, drawn)


def _again(job: Job, model: nn.Module, batch: Batch, seed: int, drawn: Drawn) -> float:
    """The loss of an unused model's first step."""
    with drawn:
        return stepped(job, model, batch, seed)[0]


def _of_few(job: Job, other: nn.Module, twin: nn.Module, batch: Batch, seed: int, drawn: Drawn) -> list[float]:
    """Losses of two large models with the same tensors on `FEW` samples, enough to compare them.

    other: a new model. twin: a model that takes its tensors.
    """
    few, theirs = batch.head(FEW), state(other)
    with torch.no_grad():
        for name, tensor in state(twin).items():
            if not tensor.is_inference():
                tensor.copy_(theirs[name])
    return [_again(job, model, few, seed, drawn) for model in (twin, other)]


def _read(job: Job, model: nn.Module, kept: str, shared: str, losses: list[float]) -> tuple[str, tuple[str, ...]]:
    """Returns (why only the plain loop can train the model, else empty; notes for the record)."""
    notes: tuple[str, ...] = (reasons.of_shared(shared),) if shared else ()
    if job.only_loop:
        return job.only_loop, notes
    if any(p.grad is not None and p.grad.is_sparse for p in model.parameters()):
        return "its gradients are sparse", (*notes, reasons.SPARSE)
    if any(map(is_keras, model.modules())):
        return reasons.KERAS, notes
    if kept:
        return reasons.of_state(kept), notes
    if any(p._backward_hooks or p._post_accumulate_grad_hooks for p in model.parameters()):
        return reasons.HOOKS, notes
    if name := referred(model):
        return reasons.of_reference(name), notes
    if share_memory(model):
        return reasons.SHARED_MEMORY, notes
    if job.outside:
        return reasons.OUTSIDE, notes
    differing = reasons.of_losses(losses)
    return differing, (reasons.IRREPRODUCIBLE,) if differing else ()


def _alike(model: nn.Module, other: nn.Module) -> bool:
    """Whether two models, each with at least one parameter, start from equal ones."""
    theirs = dict(other.named_parameters())
    return all(name in theirs and torch.equal(p, theirs[name]) for name, p in model.named_parameters())
