"""How a `torch.utils.data.DataLoader` draws: its sampler, its batch size, the samples of an epoch."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
)  # fmt: skip

from thalweg.errors import InputError
from thalweg.options.declared import BATCH_SIZE
from thalweg.workloads.split import Sampling

Collate = Callable[[Any], Any]


def loader_of(data: Any, batch_size: Any = None) -> DataLoader[Any]:
    """The data as a loader: a dataset is shuffled, as in training. batch_size: the workload's, where it is streamed."""
    if isinstance(data, DataLoader):
        return _of_its_samples(data)
    data = _as_tensors(data) if hasattr(data, "with_format") else data
    size = BATCH_SIZE.default if batch_size is None else BATCH_SIZE.check(batch_size)
    if isinstance(data, IterableDataset):
        return DataLoader(data, size)
    some = len(data) > 0
    of_class = some and is_dataclass(data[0])  # which torch's own function refuses
    return DataLoader(data, size, shuffle=some, collate_fn=_of_objects if of_class else None)


def _as_tensors(data: Any) -> Any:
    """A dataset of Hugging Face as one that gives tensors, of the same columns; with its own transform, as it is."""
    own = getattr(data, "format", None) or {}  # a stream's is not known
    if own.get("type") in ("torch", "custom"):
        return data
    return data.with_format("torch", **({"columns": own["columns"]} if own.get("columns") else {}))


def _of_its_samples(loader: DataLoader[Any]) -> DataLoader[Any]:
    """A loader that shuffles some of a dataset's samples, as one of these samples alone."""
    sampler = _sampler(loader) if is_plain(loader) else None
    if type(sampler) is not SubsetRandomSampler:
        return loader
    return DataLoader(
        Subset(loader.dataset, list(sampler.indices)),
        shuffle=len(sampler) > 0,
        collate_fn=loader.collate_fn,
        generator=loader.generator,
        **batching(loader),
        **workers_of(loader),
    )


def workers_of(loader: DataLoader[Any]) -> Mapping[str, Any]:
    """The loader's arguments that say how samples are read."""
    names = ("num_workers", "timeout", "worker_init_fn", "multiprocessing_context")
    return {name: getattr(loader, name) for name in names}


def _of_objects(samples: list[Any]) -> Any:
    """One object of the samples' dataclass, with batches as its fields."""
    kind = type(samples[0])
    return kind(**{f.name: default_collate([getattr(s, f.name) for s in samples]) for f in fields(kind)})


def is_plain(loader: DataLoader[Any]) -> bool:
    """Whether batches are made of a sampler's samples in turn."""
    return type(loader.batch_sampler) is BatchSampler


def batching(loader: DataLoader[Any]) -> Mapping[str, Any]:
    """The loader's `batch_size` and `drop_last`; empty where it has batches of another kind.

    Those of its batch sampler, as the loader's own attributes say nothing where it was given one.
    """
    if not is_plain(loader):
        return {}
    batches: Any = loader.batch_sampler
    return {"batch_size": batches.batch_size, "drop_last": batches.drop_last}


def _sampler(loader: DataLoader[Any]) -> Any:
    """The sampler of a plain loader; `loader.sampler` is another, and unused, where a batch sampler was given."""
    batches: Any = loader.batch_sampler
    return batches.sampler


def sampling(loader: DataLoader[Any]) -> Sampling | None:
    """How the loader draws, if batches can be drawn so from memory; else `None`."""
    if isinstance(loader.dataset, IterableDataset) or not is_plain(loader):
        return None
    sampler = _sampler(loader)
    if type(sampler) is SequentialSampler:
        return Sampling(ordered=True)
    if type(sampler) is RandomSampler and _is_whole(sampler, loader):
        return Sampling()
    if type(sampler) is WeightedRandomSampler:
        return Sampling(sampler.weights.double(), sampler.num_samples, replacement=sampler.replacement)
    return None


def _is_whole(sampler: RandomSampler, loader: DataLoader[Any]) -> bool:
    """Whether an epoch of a random sampler has each sample once."""
    dataset: Any = loader.dataset
    return not sampler.replacement and sampler.num_samples == len(dataset)


def drawn(loader: DataLoader[Any]) -> list[int] | None:
    """The samples of one epoch in the dataset's order, `None` for all of them: the split that a loader measures on.

    What a loader drops with a short last batch is among them.
    """
    if loader.batch_sampler is None:
        return None
    if not is_plain(loader):
        return sorted(i for batch in loader.batch_sampler for i in batch)
    sampler = _sampler(loader)
    every = type(sampler) is SequentialSampler or (type(sampler) is RandomSampler and _is_whole(sampler, loader))
    return None if every else sorted(sampler)


def epoch_samples(name: str, loader: DataLoader[Any], size: int) -> int:
    """The number of samples in an epoch that is streamed, without those that the loader drops. size: of a batch.

    Raises `InputError` if it is unknown.
    """
    try:
        if not is_plain(loader):
            return len(loader) * size
        drawn_from: Any = loader.dataset if isinstance(loader.dataset, IterableDataset) else _sampler(loader)
        return len(drawn_from) - (len(drawn_from) % size if batching(loader)["drop_last"] else 0)
    except TypeError:
        raise InputError(
            f"{name} does not say how many samples an epoch has: give thalweg.Stream(epoch, samples), or a dataset with"
            " a length."
        ) from None
