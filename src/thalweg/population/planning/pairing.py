"""Losses that compare all outputs with all targets, as tensors `[n, 1]` and `[n]` do that torch broadcasts."""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from thalweg.errors import InputError
from thalweg.population.program.failures import calling_line, users_line
from thalweg.population.program.randomness import GENERATOR, Drawn
from thalweg.population.training.job import Job
from thalweg.workloads.source import Batch

ONE = r"torch\.Size\(\[(1(, 1)*)?\]\)"
TORCH = rf"Using a target size \((?!{ONE}\) that is different to the input size \({ONE}\))"
"""What torch's own losses warn with, unless both tensors hold one number, which are one pair."""

SAME = 1e-4  # relative: the order of summation may vary
ADVICE = "give both one shape, such as outputs.squeeze(1) or y.unsqueeze(1)"


@contextmanager
def paired_by_torch(workload: str) -> Iterator[None]:
    """Raises `InputError` where torch's losses would broadcast. workload: its name."""
    with GENERATOR, warnings.catch_warnings():  # filters are one list for all threads
        warnings.filterwarnings("error", message=TORCH)
        try:
            yield
        except UserWarning as warning:
            shapes = re.findall(r"torch\.Size\((\[[\d, ]*\])\)", str(warning))
            if not re.match(TORCH, str(warning)) or len(shapes) != 2:
                raise
            place = users_line(warning)
            raise InputError(
                f"The loss of {workload!r} takes tensors of shapes {shapes[1]} and {shapes[0]}{_at(place)}, which torch"
                f" would broadcast, and not compare one by one; {ADVICE}."
            ) from None


def require_pairs(job: Job, model: nn.Module, batch: Batch, drawn: Drawn) -> None:
    """Raises `InputError` if a loss compares all outputs of a batch with all of its targets.

    Such a loss meets tensors `[n, 1]` and `[n]`, and is the same whichever target belongs to which sample, although it
    depends on the targets. One of all pairs on purpose, such as a ranking, goes by whose target each is.
    """
    objective, n = job.workload.objective, len(batch.targets)
    if n < 2 or not batch.inputs:
        return
    seen = Broadcasts(n)

    def loss(of: Batch) -> Tensor:
        at = job.workload.at(of, 1)
        with drawn, torch.no_grad():
            if job.workload.step is not None:
                with seen:
                    return objective.loss(model, at)
            outputs = objective.outputs(model, at)
            with seen:
                return objective.loss_of(outputs, at.targets)

    model.eval()
    try:
        value = loss(batch)
        if seen.shapes and any(
            _is_of_all(loss, value, *changed) for changed in _changed(batch, objective.layout.inputs)
        ):
            raise InputError(
                f"The loss of {job.workload.name!r} compares all outputs with all targets, and not one by one: its"
                f" tensors of shapes {seen.shapes} are broadcast to {[n, n]}{_at(seen.place)}, and it is the"
                f" same whichever target belongs to which sample; {ADVICE}, or y[None] where all pairs are meant."
            )
    finally:
        model.train()


def _at(place: str) -> str:
    return f" (at {place})" if place else ""


def _changed(batch: Batch, inputs: int) -> Iterator[tuple[Batch, Batch]]:
    """For each tensor of targets, two batches: of these shuffled, and of the first sample's for all."""
    order = torch.randperm(len(batch.targets), generator=torch.Generator().manual_seed(0)).to(batch.targets.device)
    for i, of in enumerate(batch.tensors):
        if i >= inputs:
            yield _with(batch, i, of[order]), _with(batch, i, of[:1].expand_as(of).clone())


def _with(batch: Batch, i: int, tensor: Tensor) -> Batch:
    *inputs, targets = (tensor if j == i else of for j, of in enumerate(batch.tensors))
    return Batch(tuple(inputs), targets)


def _is_of_all(loss: Callable[[Batch], Tensor], value: Tensor, shuffled: Batch, constant: Batch) -> bool:
    try:
        return _alike(loss(shuffled), value) and not _alike(loss(constant), value)
    except Exception:  # the user's code may raise anything, of targets that it goes by
        return False


def _alike(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=SAME, atol=0)


class Broadcasts(TorchFunctionMode):
    """Notes the first operation that takes two tensors of `samples` numbers and makes them `[samples, samples]`.

    shapes: the two's, in words; empty if there is none. place: the user's line.
    """

    def __init__(self, samples: int) -> None:
        super().__init__()
        self._samples, self.shapes, self.place = samples, "", ""

    def __torch_function__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        size = found.numel() if isinstance(found, Tensor) else 0
        if not self.shapes and size in (1, self._samples**2):  # a loss, or all pairs; of an index, it is neither
            given = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor) and x.numel() == self._samples]
            if len(given) == 2 and _all_pairs(*given):
                self.shapes, self.place = f"{list(given[0].shape)} and {list(given[1].shape)}", calling_line()
        return found


def _all_pairs(a: Tensor, b: Tensor) -> bool:
    """Whether `[n, 1]` meets `[n]`; `[n, 1]` and `[1, n]` are all pairs on purpose."""
    column, row = (a, b) if a.ndim > b.ndim else (b, a)
    return column.ndim == 2 and row.ndim == 1 and column.shape[1] == 1
