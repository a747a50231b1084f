"""The order of samples: a function of seed and epoch only."""

import torch
from torch import Tensor

from thalweg.population.updates.snapshot import Snapshot
from thalweg.workloads.workload import Split, Workload

Batch = tuple[tuple[Tensor, ...], Tensor]


class Order:
    """The batches of some seeds, one by one: a new permutation per epoch; `drop_last` drops a short last one."""

    def __init__(self, seeds: list[int], samples: int, batch_size: int, *, drop_last: bool = False) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._samples, self._size = samples, batch_size
        self._start = self._end = samples - samples % batch_size if drop_last else samples
        self._epoch = torch.empty(0)

    def next(self) -> Tensor:
        """Indices of the next batch, `[seeds, batch]`."""
        if self._start >= self._end:
            self._start = 0
            self._epoch = torch.stack([torch.randperm(self._samples, generator=g) for g in self._generators])
        index = self._epoch[:, self._start : self._start + self._size]
        self._start += self._size
        return index

    def state(self) -> Snapshot:
        """The current epoch's permutations, the position in them, and the generators' states."""
        generators = {f"generator/{i}": g.get_state() for i, g in enumerate(self._generators)}
        return Snapshot({"epoch": self._epoch, **generators} if self._epoch.numel() else {}, {"start": self._start})

    def restore(self, state: Snapshot) -> None:
        """Continues from a `state`."""
        self._start = state.facts["start"]
        if state.tensors:
            self._epoch = state.tensors["epoch"]
            for i, generator in enumerate(self._generators):
                generator.set_state(state.tensors[f"generator/{i}"])


def order(seeds: list[int], workload: Workload) -> Order:
    """The batches of some seeds of a workload."""
    return Order(seeds, len(workload.train), workload.batch_size, drop_last=workload.drop_last)


def batch_at(split: Split, index: Tensor) -> Batch:
    """(inputs, targets) at `index`: `[batch]`, or `[members, batch]` for a leading member dimension."""
    return tuple(take(x, index) for x in split.inputs), take(split.targets, index)


def take(data: Tensor, index: Tensor) -> Tensor:
    """`data[index]` over the first dimension, for an index of one or two dimensions."""
    index = index.to(data.device)
    return data.index_select(0, index.reshape(-1)).view(*index.shape, *data.shape[1:])
