"""Samples of a `torch.utils.data.Dataset` or `DataLoader`: moved into memory where they fit, else read as a stream."""

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from thalweg.errors import InputError, first_line
from thalweg.workloads.data import paired
from thalweg.workloads.layout import Layout
from thalweg.workloads.metrics import TURN
from thalweg.workloads.split import Sampling, Split
from thalweg.workloads.stream import Stream

TOGETHER = 256  # samples collated at once on the way into memory
LOOKED_AT = 4  # samples that are read twice, to see whether they are random
SHARE = 0.5  # of the memory that is free, at most, for the samples of a split


def is_dataset(data: Any) -> bool:
    """Whether data come by themselves, sample by sample: a Dataset of torch or of Hugging Face, or a DataLoader."""
    if isinstance(data, DataLoader | torch.utils.data.Dataset):
        return True
    own = hasattr(type(data), "__getitem__") and hasattr(type(data), "__len__")
    return own and not isinstance(data, Tensor | tuple | list | dict | str) and not hasattr(data, "__array__")


def loader_of(data: Any) -> DataLoader[Any]:
    """The data as a loader: a dataset is shuffled, as in training."""
    if isinstance(data, DataLoader):
        return data
    data = data.with_format("torch") if hasattr(data, "with_format") else data  # Hugging Face's
    if isinstance(data, IterableDataset):
        return DataLoader(data)
    return DataLoader(data, shuffle=len(data) > 0)


def read(name: str, data: Any, *, train: bool, step: bool) -> Split | Stream:
    """The samples of a split. train: whether they are drawn in training, so that their order and randomness matter.

    Samples that are random (augmented), that differ in shape from batch to batch, or that do not fit into memory are
    streamed in training, through the loader's own workers. Raises `InputError` where they cannot be read.
    """
    loader = _of_its_samples(loader_of(data))
    if not isinstance(loader.dataset, IterableDataset) and not len(loader.dataset):  # type: ignore[arg-type]
        raise InputError(f"{name} holds no samples; give it at least one.")
    sampling = _sampling(loader)
    if not train and (sampling is None or sampling.weights is not None):
        raise InputError(
            f"{name} must hold its samples once each, in any order: give a dataset, or a loader without a sampler that"
            " repeats or draws them."
        )
    kept = sampling is not None and not isinstance(loader.dataset, IterableDataset)
    if kept and not (train and _is_random(name, loader)) and _fits(name, loader):
        found = _collected(name, loader, step=step)
        if found is not None:
            assert sampling is not None
            return Split(found.inputs, found.targets, found.layout, sampling if train else None)
    if not train:
        raise InputError(
            f"{name} must fit into memory, in batches of one shape: give it as tensors, or a loader that pads all"
            " samples to one length."
        )
    return Stream(LoaderEpochs(loader), _length(name, loader), step=step)


def _of_its_samples(loader: DataLoader[Any]) -> DataLoader[Any]:
    """A loader that shuffles some of a dataset's samples, as one of these samples alone."""
    if not _is_plain(loader) or type(loader.sampler) is not SubsetRandomSampler:
        return loader
    return DataLoader(
        Subset(loader.dataset, list(loader.sampler.indices)),
        batch_size=loader.batch_size,
        shuffle=len(loader.sampler) > 0,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        drop_last=loader.drop_last,
        generator=loader.generator,
    )


def _length(name: str, loader: DataLoader[Any]) -> int:
    try:
        sampler: Any = loader.sampler if loader.batch_sampler is None or _is_plain(loader) else None
        return len(sampler) if sampler is not None else len(loader) * max(1, loader.batch_size or 1)
    except TypeError:
        raise InputError(
            f"{name} does not say how many samples an epoch has: give thalweg.Stream(epoch, samples), or a dataset with"
            " a length."
        ) from None


def _is_plain(loader: DataLoader[Any]) -> bool:
    """Whether batches are made of the sampler's samples in turn."""
    return type(loader.batch_sampler) is BatchSampler


def _sampling(loader: DataLoader[Any]) -> Sampling | None:
    """How the loader draws, if batches can be drawn so from memory; else `None`."""
    if isinstance(loader.dataset, IterableDataset) or not _is_plain(loader):
        return None
    sampler: Any = loader.sampler
    if type(sampler) is SequentialSampler:
        return Sampling(ordered=True)
    if type(sampler) is RandomSampler and not sampler.replacement and sampler.num_samples == len(loader.dataset):  # type: ignore[arg-type]
        return Sampling()
    if type(sampler) is WeightedRandomSampler:
        return Sampling(sampler.weights.double(), sampler.num_samples, replacement=sampler.replacement)
    return None


def _collate(loader: DataLoader[Any]) -> Callable[[Any], Any]:
    return loader.collate_fn


def _is_random(name: str, loader: DataLoader[Any]) -> bool:
    """Whether samples, or how they are collated, differ from one reading to the next, as augmented ones do."""
    dataset: Any = loader.dataset
    places = sorted({i * (len(dataset) - 1) // (LOOKED_AT - 1) for i in range(LOOKED_AT)})
    readings = []
    for seed in (1, 2):
        with _seeded(seed), _blamed(name):
            readings.append(_leaves(_collate(loader)([dataset[i] for i in places])))
    first, second = readings
    return len(first) != len(second) or any(not _same(a, b) for a, b in zip(first, second, strict=False))


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
    with _seeded(0), _blamed(name):
        one = _leaves(_collate(loader)([dataset[0]]))
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


def _collected(name: str, loader: DataLoader[Any], *, step: bool) -> _Collected | None:
    """All samples, in the dataset's order; `None` where batches differ in shape, so that they cannot be joined."""
    workers: dict[str, Any] = {"num_workers": loader.num_workers, "timeout": loader.timeout}
    plain = DataLoader(loader.dataset, TOGETHER, collate_fn=_collate(loader), **workers)
    parts: list[tuple[Tensor, ...]] = []
    layout: Layout | None = None
    with _seeded(0), _blamed(name):
        for batch in plain:
            inputs, targets, found = paired(name, as_pair(batch), step=step)
            layout = layout or found
            parts.append((*inputs, targets))
            first = parts[0]
            alike = len(first) == len(parts[-1]) and all(
                a.shape[1:] == b.shape[1:] and a.dtype == b.dtype for a, b in zip(first, parts[-1], strict=True)
            )
            if found != layout or not alike:
                return None
    assert layout is not None
    *inputs_, targets_ = (torch.cat(column) for column in zip(*parts, strict=True))
    return _Collected(tuple(inputs_), targets_, layout)


@dataclass(frozen=True, eq=False)
class LoaderEpochs:
    """The epochs of a loader as `Stream` takes them: the same for the same seed and number, however they are read.

    Every batch is read with the random states of torch, Python and NumPy set for it, and these are restored.
    """

    loader: DataLoader[Any]

    def __call__(self, seed: int, number: int) -> Iterator[Any]:
        own = getattr(self.loader, "generator", None)
        batches: Any = None
        for i in range(1 << 62):
            with _seeded(_key(seed, number, i)), _blamed("train"):
                if batches is None:
                    if own is not None:
                        own.manual_seed(_key(seed, number, -1))
                    batches = iter(self.loader)
                found = list(islice(batches, 1))
            if not found:
                return
            yield as_pair(found[0])


def as_pair(batch: Any) -> Any:
    """A batch as `layout.divided` reads it: of a longer tuple, the last is y."""
    batch = _tupled(batch)
    return (batch[:-1], batch[-1]) if isinstance(batch, tuple) and len(batch) > 2 else batch


def _tupled(batch: Any) -> Any:
    """A batch with tuples of tensors in the place of lists, which collating makes of them."""
    if isinstance(batch, dict):
        return {key: _tupled(value) for key, value in batch.items()}
    if isinstance(batch, list | tuple) and any(isinstance(x, Tensor | list | tuple | dict) for x in batch):
        return tuple(map(_tupled, batch))
    return batch


def _key(*parts: int) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=4).digest(), "little")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Sets the random states of torch, Python and NumPy, one thread at a time, and restores them."""
    generator = torch.default_generator
    with TURN:
        before = generator.get_state(), random.getstate(), np.random.get_state()
        generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            generator.set_state(before[0])
            random.setstate(before[1])
            np.random.set_state(before[2])


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """What a user's dataset raises becomes one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name} cannot be read: {type(error).__name__}: {first_line(error)}.") from error
