"""Inspection of the user's code before training, which reports its errors at once."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from thalweg.errors import InputError
from thalweg.population.planning.cost import OperationCount, model_bytes
from thalweg.population.planning.labels import require_labels
from thalweg.population.planning.repeatability import require_repeatable
from thalweg.population.program import reasons
from thalweg.population.program.failures import exhausted, users_fault
from thalweg.population.program.losses import mean_loss
from thalweg.population.program.models import build, forget_gradients, made
from thalweg.population.program.python_state import (
    as_built,
    changed,
    fingerprints,
    reaches_parameters,
    referred,
    unseen,
)
from thalweg.population.program.python_walk import storage_of
from thalweg.population.program.randomness import GENERATOR, Drawn, seeded
from thalweg.population.training.batches import Batch
from thalweg.population.training.evaluation import Evaluator, chunk_size, output_bytes
from thalweg.population.training.job import Job
from thalweg.population.training.live_parameters import share_memory
from thalweg.population.training.loop import gradients_of
from thalweg.population.training.verification import first_batches
from thalweg.workloads.workload import Split, Workload

FEW = 4  # samples to test whether a large model gives the same loss twice


def inspect(job: Job, seed: int) -> Job:
    """Returns the job with findings from some calls of the user's code: parameters trained, random draws, state kept.

    Raises `InputError` if the model, the loss or the metric fails on a split or violates a requirement.
    """
    with _blamed(job.workload):
        model, other = (build(job.workload, seed, job.device) for _ in range(2))
        _require_trainable(job.workload, model)
        _require_new(model, other)
        third = made(job.workload, seed + 1)
        third.to(job.device)
        alike, evaluates = _alike(model, third), not all(m.training for m in third.modules())
        third.train()
        built = as_built(model)
        drawn_by_seed = changed(built, as_built(third))
    first, _, last = _batches(job.workload)
    versions = {name: buffer._version for name, buffer in model.named_buffers() if not buffer.is_inference()}
    before, drawn = fingerprints(job.workload, model), Drawn(seed)
    of_other = fingerprints(job.workload, other)
    job, loss = _counted(job, model, first, seed, drawn)
    shared = changed(of_other, fingerprints(job.workload, other))  # by calls of the first model
    _require_own_loss(job.workload, (other, third))
    losses = _of_few(job, other, first, seed, drawn) if job.large else [loss, _again(job, other, first, seed, drawn)]
    with drawn:
        if len(last[1]) != len(first[1]):  # large models forward only, where a last batch would fail
            (_forward if job.large else _stepped)(job, model, last, seed)
        _require_measurable(job, model, seed)
    job = replace(job, random=drawn.here, outside=drawn.outside)
    kept = changed(before, fingerprints(job.workload, model))
    shared = shared or reasons.shared(kept)
    reason, notes = _read(job, model, kept, shared, losses)
    reason = reason or (reasons.of_seed(drawn_by_seed) if drawn_by_seed else "")
    if drawn.reseeded:
        raise InputError(
            f"The model of {job.workload.name!r} seeds torch's generator as it is called, which is one for all runs:"
            " let it draw from a torch.Generator of its own."
        )
    if drawn.recomputed:
        raise InputError(
            f"The model of {job.workload.name!r} draws random numbers again in its backward pass, in a block under"
            " torch.utils.checkpoint: they would be others than the first time; leave out the checkpointing, or the"
            " dropout within it."
        )
    _require_own_buffers(model, other, versions)
    notes += (reasons.ALIKE,) * alike + (reasons.FROZEN_MODE,) * evaluates
    if not reason and (name := unseen(job.workload, model)):
        notes += (reasons.of_unseen(name),)
    if not job.large and _reads_gradients(job, model, first, seed, drawn):
        reason = reason or reasons.GRADIENTS
    if _mixes_samples(job, model, first, seed):
        notes += (reasons.of_together(chunk_size(job)),)
    asks = reaches_parameters(job.workload, model)
    facts: dict[str, Any] = {
        "only_loop": reason,
        "shared_state": shared,
        "asks_for_parameters": asks,
        "notes": notes,
        "built": built,
    }
    return replace(job, **facts)


def _reads_gradients(job: Job, model: nn.Module, batch: Batch, seed: int, drawn: Drawn) -> bool:
    """Whether the outputs change while the parameters have gradients."""
    with drawn:
        _stepped(job, model, batch, seed)
    with_gradients = _answers(job, model, batch, drawn)
    forget_gradients(model)
    return not _alike_tensors(with_gradients, _answers(job, model, batch, drawn))


def _mixes_samples(job: Job, model: nn.Module, batch: Batch, seed: int) -> bool:
    """Whether a sample's outputs depend on the rest of the batch; False if random, or fixed to one batch size."""
    drawn, half = Drawn(seed), len(batch[1]) // 2
    if not half:
        return False
    try:
        whole, part = _answers(job, model, batch, drawn), _answers(job, model, _head(Split(*batch), half), drawn)
    except InputError:  # the model takes one batch size only
        return False
    if drawn.here or drawn.outside:
        return False
    mine = [o[:half] for o in whole if o.ndim and len(o) == len(batch[1])]
    return not _alike_tensors(mine, [o for o in part if o.ndim])


def _answers(job: Job, model: nn.Module, batch: Batch, drawn: Drawn) -> list[Tensor]:
    with drawn:
        outputs = tree_leaves(_evaluated(job, model, "train", batch))
    return [o.detach().clone() for o in outputs if isinstance(o, Tensor)]


def _alike_tensors(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return all(
        a.shape != b.shape or torch.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True)
        for a, b in zip(ours, theirs, strict=False)
    )


def _counted(job: Job, model: nn.Module, batch: Batch, seed: int, drawn: Drawn) -> tuple[Job, float]:
    """Returns (the job with findings and costs of one evaluation and one step, the loss of that step)."""
    held = _buffers(model)
    with drawn:
        outputs = _evaluated(job, model, "train", batch)
        require_labels(job.workload, outputs)
    if name := _written(held, model):
        job = replace(job, only_loop=reasons.of_evaluation(name))
    require_repeatable(job.workload.metric, outputs, batch[1])
    job = replace(job, output_bytes=output_bytes(outputs, len(batch[1])), model_bytes=model_bytes(model))
    job = replace(job, whole_outputs=not _by_samples(job, model, outputs, batch, drawn))
    with drawn, OperationCount() as cost:
        loss, trained = _stepped(job, model, batch, seed)
    return replace(job, trained=trained, operations=cost.operations, activation_bytes=cost.activations), loss


def _by_samples(job: Job, model: nn.Module, outputs: Any, batch: Batch, drawn: Drawn) -> bool:
    """Whether all output tensors are `[samples, …]`, and all else is the same for one sample fewer."""
    if not _of_samples(outputs, len(batch[1])):
        return False
    fewer = len(batch[1]) - 1
    if not fewer:
        return _by_samples_of_two(job, model, drawn)
    try:
        with drawn:
            others = _evaluated(job, model, "train", _head(Split(*batch), fewer))
    except InputError:  # the model takes one batch size only
        return True
    beside = [[x for x in tree_leaves(of) if not isinstance(x, Tensor)] for of in (outputs, others)]
    shapes = [[o.shape[1:] for o in _tensors(of)] for of in (outputs, others)]
    return _of_samples(others, fewer) and shapes[0] == shapes[1] and repr(beside[0]) == repr(beside[1])


def _by_samples_of_two(job: Job, model: nn.Module, drawn: Drawn) -> bool:
    """Answers `_by_samples` with two samples, where batches have one."""
    two = _head(job.workload.train, 2)
    if len(two[1]) < 2:
        return False
    with drawn:
        outputs = _evaluated(job, model, "train", two)
    return _by_samples(job, model, outputs, two, drawn)


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.detach().clone() for name, buffer in model.named_buffers()}


def _written(before: Mapping[str, Tensor], model: nn.Module) -> str:
    """The name of a buffer that has changed; empty if none has."""
    after = dict(model.named_buffers())
    return next((name for name in (*before, *after) if not _same(before.get(name), after.get(name))), "")


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
        return a is b
    return torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)


def _of_samples(outputs: Any, samples: int) -> bool:
    return all(o.ndim and o.shape[0] == samples for o in _tensors(outputs))


def _tensors(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]


def _again(job: Job, model: nn.Module, batch: Batch, seed: int, drawn: Drawn) -> float:
    """The loss of an unused model's first step."""
    with drawn:
        return _stepped(job, model, batch, seed)[0]


def _of_few(job: Job, other: nn.Module, batch: Batch, seed: int, drawn: Drawn) -> list[float]:
    """First losses of two new large models on `FEW` samples, enough to compare them."""
    few = _head(Split(*batch), FEW)
    return [_again(job, model, few, seed, drawn) for model in (build(job.workload, seed, job.device), other)]


def _read(job: Job, model: nn.Module, kept: str, shared: str, losses: list[float]) -> tuple[str, tuple[str, ...]]:
    """Returns (why only the plain loop can train the model, else empty; notes for the record)."""
    notes: tuple[str, ...] = (reasons.of_shared(shared),) if shared else ()
    if job.only_loop:
        return job.only_loop, notes
    if any(p.grad is not None and p.grad.is_sparse for p in model.parameters()):
        return "its gradients are sparse", (*notes, reasons.SPARSE)
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


def _stepped(job: Job, model: nn.Module, batch: Batch, seed: int) -> tuple[float, frozenset[str]]:
    """The loss of a batch, and the names of the parameters it depends on. Raises `InputError` if there are none."""
    with _blamed(job.workload, model, "train", batch), GENERATOR, warnings.catch_warnings():
        warnings.filterwarnings("error", message="Using a target size")  # torch broadcasts them to all pairs
        loss, gradients = gradients_of(job, model, batch, seed, 1)
    if not gradients:
        raise InputError(
            f"The loss of {job.workload.name!r} reaches no parameter of the model: nothing can be trained."
        )
    return loss, frozenset(gradients)


def _forward(job: Job, model: nn.Module, batch: Batch, seed: int) -> None:
    with _blamed(job.workload, model, "train", batch), torch.no_grad(), seeded(seed, 1, random=job.random):
        mean_loss(job.workload, model(*batch[0]), batch[1])


def _evaluated(job: Job, model: nn.Module, split: str, batch: Batch) -> Any:
    """The outputs in evaluation mode; training mode is set afterwards."""
    with _blamed(job.workload, model, split, batch), torch.no_grad():
        model.eval()
        outputs = model(*batch[0])
    model.train()
    if not any(isinstance(leaf, Tensor) for leaf in tree_leaves(outputs)):
        raise InputError(
            f"The model of {job.workload.name!r} must return a tensor, or several, got {type(outputs).__name__}."
        )
    return outputs


def _require_measurable(job: Job, model: nn.Module, seed: int) -> None:
    """Computes loss and metric over the validation split; on the test split, runs the model on the first samples only.

    A large model sees one batch of the validation split: all of it may take minutes.
    """
    workload, evaluator = job.workload, Evaluator(job, model, live=True)
    split = workload.validation.head(workload.batch_size) if job.large else workload.validation
    with _blamed(workload, model, "validation", _head(workload.validation, workload.batch_size)):
        evaluator.alone(None, split, seed, 0, loss=True)
    _ = workload.metric.maximized
    if workload.test is not None:
        _evaluated(job, model, "test", _head(workload.test, workload.batch_size))


def _require_trainable(workload: Workload, model: nn.Module) -> None:
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


def _require_own_loss(workload: Workload, others: Iterable[nn.Module]) -> None:
    """Raises `InputError` if a step of one model leaves gradients in others, whose parameters the loss then uses."""
    if any(p.grad is not None for other in others for p in other.parameters()):
        raise InputError(
            f"The loss of {workload.name!r} reaches parameters of another model than the one in training, such as the"
            " one that model() built last: let the model return what the loss needs of its parameters."
        )


def _require_own_buffers(model: nn.Module, other: nn.Module, versions: Mapping[str, int]) -> None:
    """Raises `InputError` if two models share a buffer that calls change: each run would change the others'."""
    theirs = {storage_of(buffer) for buffer in other.buffers() if buffer.numel()} - {0}
    for name, buffer in model.named_buffers():
        if storage_of(buffer) in theirs and name in versions and buffer._version != versions[name]:
            raise InputError(
                f"model() must return a new model at every call, and two calls share the buffer {name!r}, which changes"
                " as they are called: build or copy it inside of model()."
            )


def _require_new(model: nn.Module, other: nn.Module) -> None:
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


def _batches(workload: Workload) -> list[Batch]:
    with _blamed(workload):
        batches = first_batches(workload, 3)
    return batches


def _head(split: Split, samples: int) -> Batch:
    return tuple(x[:samples].clone() for x in split.inputs), split.targets[:samples].clone()


@contextmanager
def _blamed(
    workload: Workload, model: nn.Module | None = None, split: str = "", batch: Batch | None = None
) -> Iterator[None]:
    """Re-raises exceptions of the user's code as `InputError`, one sentence with dtypes and shapes of its data."""
    try:
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
    inputs = " and ".join(_described(x) for x in batch[0])
    dtypes = {p.dtype for p in model.parameters() if p.is_floating_point()}
    held = " and ".join(sorted(_name(dtype) for dtype in dtypes))
    odd = any(x.is_floating_point() and x.dtype not in dtypes for x in batch[0])
    advice = f": convert X to {held}" if odd and len(dtypes) == 1 else ""
    if split == "train" and len(batch[1]) == 1:
        advice += "; the last batch of an epoch holds one sample: give another batch_size, or drop_last=True"
    return f"in {split}, X is {inputs}, y {_described(batch[1])}, the parameters {held}{advice}"


def _described(tensor: Tensor) -> str:
    return f"{_name(tensor.dtype)} {list(tensor.shape)}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
