"""Samples in memory, drawn by index: every epoch a new permutation, a function of seed and epoch only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from thalweg.workloads.layout import Layout
from thalweg.workloads.source import Batch, DrawsState


@dataclass(frozen=True, eq=False)
class Sampling:
    """How an epoch draws from a split: all samples shuffled, unless said otherwise.

    weights: float64 `[samples]`, in proportion to which samples are drawn. drawn: samples of an epoch, by weights.
    replacement: whether a sample may be drawn twice. ordered: whether samples come in their own order instead.
    """

    weights: Tensor | None = None
    drawn: int = 0
    replacement: bool = True
    ordered: bool = False

    def epoch(self, samples: int, generator: torch.Generator) -> Tensor:
        """The samples of an epoch, int64."""
        if self.weights is not None:
            return torch.multinomial(self.weights, self.drawn, self.replacement, generator=generator)
        return torch.arange(samples) if self.ordered else torch.randperm(samples, generator=generator)


@dataclass(frozen=True, eq=False)  # compared by identity: `==` of tensors has no single truth value
class Split:
    """Samples in memory: `inputs`, each `[samples, …]`, and `targets`, given to the user's code as `layout` says.

    By default, the model is given all inputs in order. sampling: how training draws.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    layout: Layout | None = None
    sampling: Sampling | None = None
    indexed = True

    def __post_init__(self) -> None:
        if self.layout is None:
            object.__setattr__(self, "layout", Layout(len(self.inputs)))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def epoch_samples(self) -> int:
        """Samples that an epoch draws."""
        return len(self) if self.sampling is None or self.sampling.weights is None else self.sampling.drawn

    def at(self, index: Tensor) -> Batch:
        """The samples at `index`: `[batch]`, or `[members, batch]` for a leading member dimension."""
        return Batch(tuple(_take(x, index) for x in self.inputs), _take(self.targets, index))

    def draws(self, seeds: Sequence[int], batch_size: int, *, drop_last: bool) -> "Permutations":
        return Permutations(self, seeds, batch_size, drop_last=drop_last)

    def first(self, sizes: Sequence[int]) -> list[Batch]:
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return [self.at(torch.arange(a, a + size) % len(self)) for a, size in zip(starts, sizes, strict=True)]

    def chunks(self, most: int) -> Iterator[Batch]:
        """No chunk of one sample, which batch norm refuses, if the split has more."""
        sizes = [most] * (len(self) // most)
        rest = len(self) % most
        sizes = [*sizes[:-1], sizes[-1] + 1] if rest == 1 and sizes else [*sizes, *([rest] if rest else [])]
        for *xs, y in zip(*(torch.split(t, sizes) for t in (*self.inputs, self.targets)), strict=True):
            yield Batch(tuple(x.clone() for x in xs), y)

    def labels(self) -> Iterator[Tensor]:
        yield self.targets

    def head(self, samples: int) -> "Split":
        return self.mapped(lambda t: t[:samples])

    def strided(self, size: int, most: int) -> "list[Split]":
        """Up to `most` parts of `size` samples, each strided over the whole split, which may be sorted."""
        stride = len(self) // size
        return [Split(*self.at(torch.arange(i, size * stride, stride)), self.layout) for i in range(min(most, stride))]

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "Split":
        """The same split with a function of each of its tensors."""
        return Split(tuple(function(x) for x in self.inputs), function(self.targets), self.layout)

    def to(self, device: torch.device) -> "Split":
        return replace(self.mapped(lambda t: t.to(device)), sampling=self.sampling)

    def digest(self) -> Sequence[Any]:
        s = self.sampling
        return (*self.inputs, self.targets, *([] if s is None else [s.ordered, s.drawn, s.replacement, s.weights]))


@dataclass(frozen=True)
class Indexed:
    """Batches as indices of samples, `[seeds, batch]`."""

    split: Split
    index: Tensor

    @property
    def samples(self) -> int:
        return self.index.shape[-1]

    def of(self, seed: int) -> Batch:
        return self.split.at(self.index[seed])

    def several(self, seeds: Tensor) -> Batch:
        return self.split.at(self.index[seeds])


class Permutations:
    """The batches of some seeds, one by one: a new permutation per epoch; `drop_last` drops a short last one."""

    def __init__(self, split: Split, seeds: Sequence[int], batch_size: int, *, drop_last: bool) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._split, self._samples, self._size = split, split.epoch_samples, batch_size
        self._sampling = split.sampling or Sampling()
        self._start = self._end = self._samples - self._samples % batch_size if drop_last else self._samples
        self._epoch = torch.empty(0)

    def next(self) -> Indexed:
        if self._start >= self._end:
            self._start = 0
            self._epoch = torch.stack([self._sampling.epoch(self._samples, g) for g in self._generators])
        index = self._epoch[:, self._start : self._start + self._size]
        self._start += self._size
        return Indexed(self._split, index)

    def state(self) -> DrawsState:
        """The current epoch's permutations, the position in them, and the generators' states."""
        generators = {f"generator/{i}": g.get_state() for i, g in enumerate(self._generators)}
        return ({"epoch": self._epoch, **generators} if self._epoch.numel() else {}), {"start": self._start}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        self._start = facts["start"]
        if tensors:
            self._epoch = tensors["epoch"]
            for i, generator in enumerate(self._generators):
                generator.set_state(tensors[f"generator/{i}"])


def _take(data: Tensor, index: Tensor) -> Tensor:
    """`data[index]` over the first dimension, for an index of one or two dimensions."""
    if index.device != data.device:  # a call of `to` alone lets another thread take the interpreter's lock
        index = index.to(data.device)
    if index.ndim == 1:
        return data.index_select(0, index)
    return data.index_select(0, index.reshape(-1)).view(*index.shape, *data.shape[1:])
