"""The order of samples: a function of the seed and the epoch alone."""

from collections.abc import Iterator

import torch
from torch import Tensor

from thalweg.workloads.workload import Split


class Order:
    """Every epoch's permutation of the training samples for some seeds, `[seeds, samples]`."""

    def __init__(self, seeds: list[int], samples: int) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._samples = samples

    def epoch(self) -> Tensor:
        return torch.stack([torch.randperm(self._samples, generator=g) for g in self._generators])


def batches(split: Split, order: Tensor, size: int) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    """The batches of one epoch in order, the short last one kept.

    order: `[samples]`, or `[members, samples]` for batches with a leading member dimension.
    """
    for start in range(0, order.shape[-1], size):
        index = order[..., start : start + size]
        yield tuple(take(x, index) for x in split.inputs), take(split.targets, index)


def take(data: Tensor, index: Tensor) -> Tensor:
    """`data[index]` over the first dimension, for an index of one or two dimensions."""
    index = index.to(data.device)
    return data.index_select(0, index.reshape(-1)).view(*index.shape, *data.shape[1:])
