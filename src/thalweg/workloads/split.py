"""Samples in memory, drawn by index: every epoch a new permutation, a function of seed and epoch only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thalweg.workloads.source import Batch, DrawsState


@dataclass(frozen=True, eq=False)  # compared by identity: `==` of tensors has no single truth value
class Split:
    """Samples in memory: `inputs`, each `[samples, …]`, passed to the model in order, and `targets`."""

    inputs: tuple[Tensor, ...]
    targets: Tensor
    indexed = True

    def __len__(self) -> int:
        return len(self.targets)

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
        return [Split(*self.at(torch.arange(i, size * stride, stride))) for i in range(min(most, stride))]

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "Split":
        """The same split with a function of each of its tensors."""
        return Split(tuple(function(x) for x in self.inputs), function(self.targets))

    def to(self, device: torch.device) -> "Split":
        return self.mapped(lambda t: t.to(device))

    def digest(self) -> Sequence[Any]:
        return (*self.inputs, self.targets)


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
        self._split, self._samples, self._size = split, len(split), batch_size
        self._start = self._end = self._samples - self._samples % batch_size if drop_last else self._samples
        self._epoch = torch.empty(0)

    def next(self) -> Indexed:
        if self._start >= self._end:
            self._start = 0
            self._epoch = torch.stack([torch.randperm(self._samples, generator=g) for g in self._generators])
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
