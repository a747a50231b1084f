"""Samples of a `torch.utils.data.Dataset` or `DataLoader`: moved into memory where they fit, else read as a stream."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset, default_collate

from thalweg.errors import InputError
from thalweg.workloads.data import paired
from thalweg.workloads.layout import Layout
from thalweg.workloads.loader_epochs import LoaderEpochs, as_pair, blamed
from thalweg.workloads.loaders import batching, drawn, epoch_samples, loader_of, sampling, workers_of
from thalweg.workloads.random_states import RandomUse, seeded_globally
from thalweg.workloads.reading import DataWarning
from thalweg.workloads.split import Split
from thalweg.workloads.stream import Stream

TOGETHER = 256  # samples collated at once on the way into memory
LOOKED_AT = 4  # samples that are read twice, to see whether they are random
COLLATED = 32  # samples that are collated one by one and at once, to see whether that is the same
SHARE = 0.5  # of the memory that is free, at most, for the samples of a split


def is_dataset(data: Any) -> bool:
    """Whether data come by themselves, sample by sample: a Dataset of torch or of Hugging Face, or a DataLoader."""
    if isinstance(data, DataLoader | torch.utils.data.Dataset):
        return True
    own = hasattr(type(data), "__getitem__") and hasattr(type(data), "__len__")
    return own and not isinstance(data, Tensor | tuple | list | dict | str) and not hasattr(data, "__array__")


def read(name: str, data: Any, *, train: bool, step: bool, batch_size: Any = None) -> Split | Stream:
    """The samples of a split. train: whether they are drawn in training, so that their order and randomness matter.
    batch_size: the workload's, if it is given, in which a dataset is streamed.

    Samples that are random (augmented), that differ in shape from batch to batch, that depend on the others of their
    batch, or that do not fit into memory are streamed in training, through the loader's own workers. Raises
    `InputError` where they cannot be read.
    """
    with blamed(name):
        loader = loader_of(data, batch_size)
    iterable = isinstance(loader.dataset, IterableDataset)
    if not iterable and not len(loader.dataset):  # type: ignore[arg-type]
        raise InputError(f"{name} holds no samples; give it at least one.")
    if not train:
        return _measured(name, loader, step=step)
    how = sampling(loader)
    if how is not None and how.weights is not None and len(how.weights) > len(loader.dataset):  # type: ignore[arg-type]
        raise InputError(
            f"{name} has {len(loader.dataset):,} samples, and its sampler {len(how.weights):,} weights: give one for"  # type: ignore[arg-type]
            " each sample."
        )
    if how is not None and not _is_random(name, loader) and _is_by_sample(name, loader) and _fits(name, loader):
        found = _collected(name, loader, step=step)
        if found is not None and not found.is_random:
            return Split(found.inputs, found.targets, found.layout, how)
    return _streamed(name, loader, step=step)


def _measured(name: str, loader: DataLoader[Any], *, step: bool) -> Split:
    """The samples of a split that is not trained on: those that the loader's sampler draws."""
    if isinstance(loader.dataset, IterableDataset):
        raise InputError(f"{name} must be samples by number, and an IterableDataset has none: give it as tensors.")
    readings = []
    for seed in (0, 1):
        with seeded_globally(seed), blamed(name):
            readings.append(drawn(loader))
    index, again = readings
    if index != again or (index is not None and len(set(index)) < len(index)):
        raise InputError(
            f"{name} must hold its samples once each, in any order: give a dataset, or a loader without a sampler that"
            " repeats or draws them."
        )
    if index is not None and not index:
        raise InputError(f"{name} holds no samples; give it at least one.")
    found = _collected(name, loader, index, step=step) if _fits(name, loader) else None
    if found is not None and not found.is_random and not _is_by_sample(name, loader):
        warnings.warn(
            f"The samples of {name} go by those that they are collated with, as padded ones do: they are measured as"
            f" collated {TOGETHER} at once, not in the loader's batches.",
            DataWarning,
            stacklevel=2,
        )
    if found is None:
        raise InputError(
            f"{name} must fit into memory, in batches of one shape: give it as tensors, or a loader that pads all"
            " samples to one length."
        )
    if found.is_random:
        warnings.warn(
            f"The samples of {name} draw random numbers, as augmented ones do: it is measured on one drawing of them.",
            DataWarning,
            stacklevel=2,
        )
    return Split(found.inputs, found.targets, found.layout)


def _streamed(name: str, loader: DataLoader[Any], *, step: bool) -> Stream:
    """The loader as a stream; a warning where it does not give the same batches for the same seed."""
    epochs = LoaderEpochs(loader, step)
    first, again = (next(iter(epochs(0, 0)), None) for _ in range(2))
    if first is None:
        raise InputError(f"The loader of {name} yields no batch: it has no samples, or drop_last leaves none.")
    if not _all_same(_leaves(first), _leaves(again)):
        warnings.warn(
            f"{name} gives other batches at each reading, as an iterator does, or random numbers of a generator of its"
            " own: optimizers do not see the same ones, and a study cannot be repeated. Draw on torch, random or"
            " numpy.random as they are, which are seeded for each batch.",
            DataWarning,
            stacklevel=2,
        )
    size = batching(loader).get("batch_size") or len(paired(name, first, step=step)[1])
    return Stream(epochs, epoch_samples(name, loader, size), step=step, batch_size=size)


def _some(loader: DataLoader[Any], most: int) -> list[Any]:
    """Up to so many samples, spread over the dataset."""
    dataset: Any = loader.dataset
    return [dataset[i] for i in sorted({i * (len(dataset) - 1) // (most - 1) for i in range(most)})]


def _is_random(name: str, loader: DataLoader[Any]) -> bool:
    """Whether samples, or how they are collated, differ from one reading to the next, as augmented ones do.

    Random numbers that are drawn tell it, too: what is rarely augmented may look the same twice.
    """
    readings, use = [], RandomUse()
    for seed in (1, 2):
        with seeded_globally(seed), blamed(name), use.noted():
            readings.append(_leaves(loader.collate_fn(_some(loader, LOOKED_AT))))
    return use.some or not _all_same(*readings)


def _is_by_sample(name: str, loader: DataLoader[Any]) -> bool:
    """Whether a sample in a batch is what it is in a batch by itself: not padded or scaled by the others in it."""
    if loader.collate_fn is default_collate:
        return True
    with seeded_globally(0), blamed(name):
        samples = _some(loader, COLLATED)
        at_once, *single = (_leaves(loader.collate_fn(some)) for some in (samples, *([s] for s in samples)))
    columns = list(zip(*single, strict=False))
    if len(columns) != len(at_once) or not all(isinstance(x, Tensor) and x.ndim for x in (*at_once, *single[0])):
        return False
    return all(
        len({(x.shape[1:], x.dtype) for x in column}) == 1 and _same(torch.cat(column), whole)
        for column, whole in zip(columns, at_once, strict=True)
    )


def _all_same(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(map(_same, first, second))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and torch.equal(a, b)
    return repr(a) == repr(b)


def _leaves(batch: Any) -> list[Any]:
    from torch.utils._pytree import tree_leaves

    return tree_leaves(vars(batch) if hasattr(batch, "__dataclass_fields__") else batch)


def _fits(name: str, loader: DataLoader[Any]) -> bool:
    """Whether all samples fit into the memory that is free now, as far as the system tells."""
    dataset: Any = loader.dataset
    with seeded_globally(0), blamed(name):
        one = _leaves(loader.collate_fn(dataset[0] if loader.batch_sampler is None else [dataset[0]]))
    needed = len(dataset) * sum(x.numel() * x.element_size() for x in one if isinstance(x, Tensor))
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on this system
        return True
    return needed <= SHARE * free


@dataclass(frozen=True)
class _Collected:
    inputs: tuple[Tensor, ...]
    targets: Tensor
    layout: Layout
    is_random: bool


def _collected(
    name: str, loader: DataLoader[Any], index: Sequence[int] | None = None, *, step: bool
) -> _Collected | None:
    """The samples at `index`, or all, in the dataset's order; `None` where batches differ in shape or dtype."""
    dataset = loader.dataset if index is None else Subset(loader.dataset, index)
    plain = DataLoader(
        dataset,
        batch_size=None if loader.batch_sampler is None else TOGETHER,
        collate_fn=loader.collate_fn,
        **workers_of(loader),
        generator=torch.Generator(),  # reading itself draws a random number
    )
    parts: list[tuple[Tensor, ...]] = []
    layout: Layout | None = None
    use = RandomUse()
    with seeded_globally(0), blamed(name), use.noted():
        for batch in plain:
            inputs, targets, found = paired(name, as_pair(batch, step=step), step=step)
            layout = layout or found
            parts.append((*inputs, targets))
            if found != layout or not _alike(parts[0], parts[-1]):
                return None
    assert layout is not None
    *inputs_, targets_ = (torch.cat(column) for column in zip(*parts, strict=True))
    return _Collected(tuple(inputs_), targets_, layout, use.some)


def _alike(first: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    """Whether batches can be joined."""
    kinds = [[(x.shape[1:], x.dtype) for x in batch] for batch in (first, other)]
    return kinds[0] == kinds[1]
