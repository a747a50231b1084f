"""Requirements on the user's model, loss and metric, each refused in one sentence."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from thalweg.errors import InputError
from thalweg.population.planning.calls import blamed, evaluated, head
from thalweg.population.planning.labels import computable_head
from thalweg.population.program.python_walk import storage_of
from thalweg.population.program.randomness import Drawn
from thalweg.population.training.evaluation import Evaluator
from thalweg.population.training.job import Job
from thalweg.workloads.workload import Workload


def require_measurable(job: Job, model: nn.Module, seed: int) -> None:
    """Computes loss and metric over the validation split; on the test split, runs the model on the first samples only.

    A large model sees one batch of the validation split, or what the metric needs: all of it may take minutes.
    """
    workload, evaluator = job.workload, Evaluator(job, model, live=True)
    split = computable_head(workload) if job.large else workload.validation
    with blamed(workload, model, "validation", head(workload.validation, workload.batch_size)):
        evaluator.alone(None, split, seed, 0, loss=True)
    _ = workload.metric.maximized
    if workload.test is not None:
        evaluated(job, model, "test", head(workload.test, workload.batch_size))


def require_trainable(workload: Workload, model: nn.Module) -> None:
    if any(p.is_inference() for p in model.parameters()):
        raise InputError(
            "model() must make its parameters outside of torch.inference_mode(), where none can be trained."
        )
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not trained:
        raise InputError(
            f"The model of {workload.name!r} has no parameters that require a gradient: nothing can be trained."
        )
    if {*map(id, model.parameters())} != {id(p) for _, p in model.named_parameters()}:
        raise InputError(
            f"parameters() and named_parameters() of the model of {workload.name!r} must give the same: register what"
            " is trained, and freeze the rest by requires_grad_(False)."
        )
    sparse = next((name for name, buffer in model.named_buffers() if buffer.layout != torch.strided), None)
    if sparse:
        raise InputError(
            f"The buffer {sparse!r} of {workload.name!r} is sparse: keep it as a plain attribute, or dense."
        )
    odd = next((name for name, p in trained if not p.is_floating_point()), None)
    if odd:
        raise InputError(f"The parameter {odd!r} of {workload.name!r} must be of a real floating-point dtype.")


def require_own_loss(workload: Workload, others: Iterable[nn.Module]) -> None:
    """Raises `InputError` if a step of one model leaves gradients in others, whose parameters the loss then uses."""
    if any(p.grad is not None for other in others for p in other.parameters()):
        raise InputError(
            f"The loss of {workload.name!r} reaches parameters of another model than the one in training, such as the"
            " one that model() built last: let the model return what the loss needs of its parameters."
        )


def require_own_buffers(model: nn.Module, other: nn.Module, versions: Mapping[str, int]) -> None:
    """Raises `InputError` if two models share a buffer that calls change: each run would change the others'."""
    theirs = {storage_of(buffer) for buffer in other.buffers() if buffer.numel()} - {0}
    for name, buffer in model.named_buffers():
        if storage_of(buffer) in theirs and name in versions and buffer._version != versions[name]:
            raise InputError(
                f"model() must return a new model at every call, and two calls share the buffer {name!r}, which changes"
                " as they are called: build or copy it inside of model()."
            )


def require_new(model: nn.Module, other: nn.Module) -> None:
    """Raises `InputError` if two calls of `model()` share trained parameters or differ in shapes or initial values."""
    ours = {name: p for name, p in model.named_parameters() if p.requires_grad}
    theirs = dict(other.named_parameters())
    if {p.data_ptr() for p in ours.values() if p.numel()} & {p.data_ptr() for p in theirs.values()}:
        raise InputError(
            "model() must return a new model at every call, and two calls returned the same parameters: build them"
            " inside of it."
        )
    for name, p in ours.items():
        if name not in theirs or p.shape != theirs[name].shape:
            raise InputError("model() must return the same architecture at every call, and two calls differ.")
        if not torch.equal(p.nan_to_num(), theirs[name].nan_to_num()):
            raise InputError(
                "model() must draw its initial values from the global random states of torch, Python or NumPy alone,"
                f" which are seeded before each call: of one seed, two calls differ in {name!r}."
            )


def require_own_seeds(workload: Workload, drawn: Drawn) -> None:
    """Refuses a model that seeds the global generator, or that draws again under activation checkpointing."""
    if drawn.reseeded:
        raise InputError(
            f"The model of {workload.name!r} seeds torch's generator as it is called, which is one for all runs:"
            " let it draw from a torch.Generator of its own."
        )
    if drawn.recomputed:
        raise InputError(
            f"The model of {workload.name!r} draws random numbers again in its backward pass, in a block under"
            " torch.utils.checkpoint: they would be others than the first time; leave out the checkpointing, or the"
            " dropout within it."
        )
