"""A stream of batches: samples that come in an order of their own, such as from files or a generator."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count, islice
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError, listed, shown
from thalweg.workloads.data import paired
from thalweg.workloads.layout import Layout
from thalweg.workloads.loader_epochs import LoaderEpochs
from thalweg.workloads.reading import DataWarning
from thalweg.workloads.source import Batch, DrawsState
from thalweg.workloads.split import Split

CPU = torch.device("cpu")
MOST_LABELS = 10_000_000  # kept in memory, so that an epoch is not read again for its labels
Epoch = Callable[[int, int], Iterable[Any]]


@dataclass(frozen=True, eq=False)
class Stream:
    """Training samples as a stream of batches.

    Args:
        epoch: `epoch(seed, number)` → the batches `(X, y)` of a seed's epoch, counted from 0. It must yield the same
            for the same arguments: every contender of a seed sees the same batches, and a resumed run reads again up to
            where it was. The batches are taken as they come: the workload's `batch_size` is their usual size.
        samples: number of samples in an epoch, at least 1. Epochs and steps are counted by it; a `DataWarning` says it
            where an epoch has fewer or more.
        step: whether a custom step takes the batches, which need no targets then.
        batch_size: samples of a batch, where it is known: the workload's must be the same. 0 where it is not.
        joined: batches that are joined into that of a step; a workload sets it to its `accumulate`.

    Raises:
        InputError: an argument is of another kind; later, if a batch is no pair of tensors or of other dtypes than the
            first, or an epoch has none.
    """

    epoch: Epoch
    samples: int
    device: torch.device = CPU
    step: bool = False
    batch_size: int = 0
    joined: int = 1
    _layouts: list[Layout] = field(default_factory=list, repr=False)  # of the first batch ever drawn
    _kinds: list[Any] = field(default_factory=list, repr=False)  # of the first batch ever drawn
    _warned: list[bool] = field(default_factory=list, repr=False)  # of epochs of another length: once
    _first: list[Batch] = field(default_factory=list, init=False, repr=False)  # those that were asked for
    _labels: list[tuple[Tensor, ...]] = field(default_factory=list, init=False, repr=False)  # of an epoch, once read
    indexed = False

    def __post_init__(self) -> None:
        if not callable(self.epoch):
            raise InputError(f"A stream's epoch must be a function of (seed, number), got {shown(self.epoch)}.")
        if not isinstance(self.samples, int) or isinstance(self.samples, bool) or self.samples < 1:
            raise InputError(f"A stream's samples must be a whole number of at least 1, got {shown(self.samples)}.")

    def __len__(self) -> int:
        return self.samples

    @property
    def epoch_samples(self) -> int:
        """Samples that an epoch yields."""
        return self.samples

    @property
    def layout(self) -> Layout:
        """How the user's code is given a batch."""
        if not self._layouts:
            next(self.batches(0, 0))
        return self._layouts[0]

    def batches(self, seed: int, number: int, least: int = 1) -> Iterator[Batch]:
        """The batches of a seed's epoch, on the device, without those of fewer than `least` samples."""
        some, read = False, 0
        for given in self.epoch(seed, number):
            inputs, targets, layout = paired("train", given, step=self.step)
            read += self._counted(targets)
            if read > self.samples:
                self._warn("more", seed, number)
            self._layouts.append(layout) if not self._layouts else None
            batch = Batch(tuple(x.to(self.device) for x in inputs), targets.to(self.device))
            self._require_kinds(batch, seed, number)
            if len(targets) >= least:
                some = True
                yield batch
        if not some:
            what = "batch" if least == 1 else f"batch of {least:,} samples, and drop_last drops smaller ones,"
            raise InputError(f"The stream of train yields no {what} in epoch {number} of seed {seed}.")
        if read < self.samples:
            self._warn(f"{read:,}, fewer", seed, number)

    def _counted(self, targets: Tensor) -> int:
        """A batch's samples, as `samples` counts them: for a batch sampler, as many as the first batch has."""
        by_batch = isinstance(self.epoch, LoaderEpochs) and not self.epoch.is_plain
        return self.batch_size if by_batch else len(targets)

    def _warn(self, samples: str, seed: int, number: int) -> None:
        if self._warned:
            return
        self._warned.append(True)
        told = (
            f"The stream of train yields {samples} than the {self.samples:,} samples that are declared, in epoch"
            f" {number} of seed {seed}: epochs and steps are counted by the declared number; declare what it yields"
        )
        if isinstance(self.epoch, LoaderEpochs) and self.epoch.loader.num_workers > 1:
            told += (
                ", and where each of the loader's workers reads all, divide them by torch.utils.data.get_worker_info"
            )
        warnings.warn(f"{told}.", DataWarning, stacklevel=3)

    def _require_kinds(self, batch: Batch, seed: int, number: int) -> None:
        """Requires the number of inputs, the dtypes and the dimensions of the first batch."""
        kinds = [f"{str(t.dtype).removeprefix('torch.')} of {t.ndim} dimensions" for t in batch.tensors]
        first = self._kinds or kinds
        self._kinds[:] = first
        if kinds != first:
            raise InputError(
                f"The stream of train yields tensors {listed(kinds)} in epoch {number} of seed {seed}, and began with"
                f" {listed(first)}: let all of its batches be alike."
            )

    def endless(self, seed: int, least: int = 1) -> Iterator[Batch]:
        """The batches of the steps of all epochs of a seed."""
        return chain.from_iterable(self._steps(seed, number, least) for number in count())

    def _steps(self, seed: int, number: int, least: int) -> Iterator[Batch]:
        """As `batches`, several joined into one."""
        if self.joined == 1:
            yield from self.batches(seed, number, least)
            return
        batches, some = self.batches(seed, number), False
        while group := [*islice(batches, self.joined)]:
            batch = _joined(group)
            if len(batch.targets) >= least:
                some = True
                yield batch
        if not some:
            raise InputError(f"The stream of train yields no {least:,} samples in epoch {number} of seed {seed}.")

    def draws(self, seeds: Sequence[int], batch_size: int, *, drop_last: bool) -> "Streams":
        return Streams(self, seeds, batch_size if drop_last else 1)

    def first(self, sizes: Sequence[int]) -> list[Batch]:
        if len(self._first) < len(sizes):  # a plan asks hundreds of times, and reading may be slow
            self._first[:] = islice(self.endless(0), len(sizes))
        return [batch.head(size) for batch, size in zip(self._first, sizes, strict=False)]

    def chunks(self, most: int) -> Iterator[Batch]:
        """The batches of the first epoch of seed 0, as they come."""
        batches: Iterable[Batch] = self.batches(0, 0)
        if most >= self.samples:
            batches = list(batches)
            shapes = {tuple(t.shape[1:] for t in batch.tensors) for batch in batches}
            if len(shapes) == 1:  # else padded batch by batch: they cannot be joined
                *inputs, targets = map(torch.cat, zip(*(batch.tensors for batch in batches), strict=True))
                yield Batch(tuple(inputs), targets)
                return
        yield from (batch.head(len(batch.targets)) for batch in batches)

    def labels(self) -> Iterator[Tensor]:
        if self._labels:
            yield from self._labels[0]
            return
        read, kept = list[Tensor](), 0
        for batch in self.batches(0, 0):
            kept += batch.targets.numel()
            read.append(batch.targets) if kept <= MOST_LABELS else read.clear()
            yield batch.targets
        if kept <= MOST_LABELS:
            self._labels.append(tuple(read))

    def head(self, samples: int) -> Split:
        held, count = list[Batch](), 0
        for batch in self.batches(0, 0):
            held.append(batch)
            count += len(batch.targets)
            if count >= samples:
                break
        *inputs, targets = (torch.cat(parts)[:samples] for parts in zip(*(b.tensors for b in held), strict=True))
        return Split(tuple(inputs), targets, self.layout)

    def to(self, device: torch.device) -> "Stream":
        return replace(self, device=device)

    def digest(self) -> Sequence[Any]:
        return (self.epoch, self.samples, *self.first([1])[0].tensors)


def _joined(batches: Sequence[Batch]) -> Batch:
    shapes = {tuple(t.shape[1:] for t in batch.tensors) for batch in batches}
    if len(shapes) > 1:
        raise InputError(
            "accumulate joins the batches of a step, and those of the stream of train differ in shape: leave it out, or"
            " let all batches be alike."
        )
    *inputs, targets = (torch.cat(parts) for parts in zip(*(b.tensors for b in batches), strict=True))
    return Batch(tuple(inputs), targets)


@dataclass(frozen=True)
class Streamed:
    """Batches that a stream has yielded, one for each seed. What it gives are copies: a model may write into them."""

    batches: tuple[Batch, ...]

    @property
    def samples(self) -> int:
        return len(self.batches[0].targets)

    def of(self, seed: int) -> Batch:
        return self.batches[seed].head(self.samples)

    def several(self, seeds: Tensor) -> Batch:
        *inputs, targets = map(torch.stack, zip(*(self.batches[i].tensors for i in seeds.tolist()), strict=True))
        return Batch(tuple(inputs), targets)


class Streams:
    """The batches of some seeds. least: samples below which a batch is left out."""

    def __init__(self, stream: Stream, seeds: Sequence[int], least: int) -> None:
        self._streams = [stream.endless(seed, least) for seed in seeds]
        self._drawn = 0

    def next(self) -> Streamed:
        self._drawn += 1
        return Streamed(tuple(next(stream) for stream in self._streams))

    def state(self) -> DrawsState:
        return {}, {"drawn": self._drawn}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Reads again what was drawn before."""
        while self._drawn < facts["drawn"]:
            self.next()
