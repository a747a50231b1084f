"""The look at the user's own code before anything trains: what is wrong with it is said at once."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from thalweg.errors import InputError
from thalweg.population.alone import gradients_of
from thalweg.population.batches import Batch
from thalweg.population.evaluation import Evaluator
from thalweg.population.job import Job, exhausted, users_fault
from thalweg.population.labels import require_labels
from thalweg.population.models import build, state
from thalweg.population.randomness import SeededRandomness
from thalweg.population.repeatability import require_repeatable
from thalweg.population.verification import first_batches
from thalweg.workloads.workload import Split, Workload


def inspect(job: Job, seed: int) -> Job:
    """The job with what one step of the user's own code shows: what it trains, and whether it draws.

    Raises `InputError` where the model, the loss or the metric does not run on every split, or is not what it
    should be.
    """
    with _blamed(job.workload):
        model = build(job.workload, seed, job.device)
        _require_trainable(job.workload, model)
        other = build(job.workload, seed, job.device)
        _require_new(model, other)
    first, _, last = _batches(job.workload)
    with SeededRandomness(seed, 1) as draws:  # nothing of it touches torch's own random state
        outputs = _evaluated(job, model, "train", first)
        require_labels(job.workload, outputs)
        trained = _stepped(job, model, first, seed)
        if len(last[1]) != len(first[1]):
            _stepped(job, model, last, seed)
        _require_measurable(job, other, seed)
    require_repeatable(job.workload.metric, outputs, first[1])
    return replace(job, trained=trained, random=draws.sites > 0)


def _stepped(job: Job, model: nn.Module, batch: Batch, seed: int) -> frozenset[str]:
    """The parameters that the loss of a batch reaches."""
    with _blamed(job.workload, model, "train", batch), warnings.catch_warnings():
        warnings.filterwarnings("error", message="Using a target size")  # torch broadcasts them to all pairs
        _, gradients = gradients_of(job, model, batch, seed, 1)
    if not gradients:
        raise InputError(
            f"The loss of {job.workload.name!r} reaches no parameter of the model: nothing can be trained."
        )
    return frozenset(gradients)


def _evaluated(job: Job, model: nn.Module, split: str, batch: Batch) -> Any:
    """The outputs in evaluation mode."""
    with _blamed(job.workload, model, split, batch), torch.no_grad():
        outputs = model.eval()(*batch[0])
    model.train()
    if not any(isinstance(leaf, Tensor) for leaf in tree_leaves(outputs)):
        raise InputError(
            f"The model of {job.workload.name!r} must return a tensor, or several, got {type(outputs).__name__}."
        )
    return outputs


def _require_measurable(job: Job, model: nn.Module, seed: int) -> None:
    """Loss and metric over the validation split; of the test split only that the model runs on its first samples."""
    workload, evaluator = job.workload, Evaluator(job, model)
    before = workload.validation.targets._version
    with _blamed(workload, model, "validation", _head(workload.validation, workload.batch_size)):
        evaluator.alone(state(model), workload.validation, seed, 0, loss=True)
    if workload.validation.targets._version != before:
        raise InputError(f"The loss or the metric of {workload.name!r} changes y in place: let it work on a copy.")
    _ = workload.metric.maximized
    if workload.test is not None:
        _evaluated(job, model, "test", _head(workload.test, workload.batch_size))


def _require_trainable(workload: Workload, model: nn.Module) -> None:
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not trained:
        raise InputError(
            f"The model of {workload.name!r} has no parameters that require a gradient: nothing can be trained."
        )
    odd = next((name for name, p in trained if not p.is_floating_point()), None)
    if odd:
        raise InputError(f"The parameter {odd!r} of {workload.name!r} must be of a real floating-point dtype.")


def _require_new(model: nn.Module, other: nn.Module) -> None:
    """That two calls of the factory share nothing that is trained, and start alike."""
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
                f"model() must draw its initial values from torch's global random state alone, which is seeded before"
                f" each call: of one seed, two calls differ in {name!r}."
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
    """What the user's code raises within, as one sentence, with what it was given."""
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
    """`"in train, X is float64 [32, 4], y int64 [32], the parameters float32"`, and what to do where dtypes differ."""
    inputs = " and ".join(_described(x) for x in batch[0])
    dtypes = {p.dtype for p in model.parameters() if p.is_floating_point()}
    held = " and ".join(sorted(_name(dtype) for dtype in dtypes))
    odd = any(x.is_floating_point() and x.dtype not in dtypes for x in batch[0])
    advice = f": convert X to {held}" if odd and len(dtypes) == 1 else ""
    return f"in {split}, X is {inputs}, y {_described(batch[1])}, the parameters {held}{advice}"


def _described(tensor: Tensor) -> str:
    return f"{_name(tensor.dtype)} {list(tensor.shape)}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
