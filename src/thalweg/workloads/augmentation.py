"""Augmentation: a user's random change of each batch of training, a function of seed, step and sample."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from thalweg.errors import ReturnValueError
from thalweg.workloads.data import kind
from thalweg.workloads.layout import Layout, divided
from thalweg.workloads.source import Batch

Augment = Callable[[Any, torch.Generator], Any]

STEP = threading.local()
"""`key`: 63 bits of the seed and the step that this thread trains. `calls`: of `augment` in this step so far."""


def begin_step(key: int) -> None:
    """Says which seed and step this thread trains from now on."""
    STEP.key, STEP.calls = key, 0


FEW = 1 << 12  # whole numbers that a float32 of 24 random bits chooses among evenly enough


def _permutation(n: int, *, dtype: Any = None, device: Any = None) -> Tensor:
    return torch.rand(n, dtype=torch.float64, device=device).argsort().to(dtype or torch.int64)


def _integers(*given: Any, dtype: Any = None, device: Any = None, **named: Any) -> Tensor:
    """As `torch.randint`, whose first argument may be left out."""
    given, size = (given, named["size"]) if "size" in named else (given[:-1], given[-1])
    bounds = [*given, *(named[name] for name in ("high",) if name in named)]
    low, high = bounds if len(bounds) == 2 else (named.get("low", 0), bounds[0])
    if not low < high:
        raise ValueError(f"randint takes a first number below the last, not {low} and {high}.")
    uniform = torch.rand(size, dtype=torch.float32 if high - low <= FEW else torch.float64, device=device)
    whole: Tensor = (uniform * (high - low)).to(dtype or torch.int64)
    return whole.add(low)


INSTEAD: Mapping[Any, Callable[..., Tensor]] = {torch.randperm: _permutation, torch.randint: _integers}
"""Random functions in terms of uniform numbers, which a population draws for each member at once."""


TAKEN = {"low", "high", "size", "n", "dtype", "device"}


class _Hashed(TorchFunctionMode):
    """Calls random functions without the generator that `augment` was given, so that their numbers are the step's."""

    def __init__(self, given: torch.Generator) -> None:
        super().__init__()
        self._given = given

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("generator") is self._given:
            kwargs = {name: value for name, value in kwargs.items() if name != "generator"}
        known = func in INSTEAD and kwargs.keys() <= TAKEN
        return INSTEAD[func](*args, **kwargs) if known else func(*args, **kwargs)


def augmented(augment: Augment, batch: Batch, layout: Layout, *, step: bool) -> Batch:
    """A copy of a batch that `augment` has changed; step: whether a custom step takes batches.

    Raises `ReturnValueError` unless it returns tensors in the form in which it was given them.
    """
    own = Batch(tuple(x.clone() for x in batch.inputs), batch.targets.clone())
    calls = getattr(STEP, "calls", 0)
    STEP.calls = calls + 1  # the parts of a step differ
    generator = torch.Generator(own.targets.device).manual_seed((getattr(STEP, "key", 0) + calls) % 2**63)
    with _Hashed(generator):
        given = augment(layout.packed(own), generator)
    return _read(given, layout, len(batch.targets), step=step)


def _read(given: Any, layout: Layout, samples: int, *, step: bool) -> Batch:
    try:
        inputs, targets, found = divided("augment's batch", given, step=step)
    except Exception:  # of a form that is no batch
        found = None
    if found != layout or not all(isinstance(t, Tensor) for t in (*inputs, targets)):
        raise ReturnValueError(
            f"augment must return the batch in the form in which it was given it, as tensors, got {kind(given)}."
        )
    lengths = [len(t) if t.ndim else 0 for t in (*inputs, targets)]
    if lengths != [samples] * len(lengths):
        raise ReturnValueError(
            f"augment must return as many samples as it was given, {samples}, and its tensors have {lengths}."
        )
    return Batch(inputs, targets)
