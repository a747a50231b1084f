"""The interface of a split's samples: batches by index, of data in memory, or a stream of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Some samples: `inputs`, each `[samples, …]` and passed to the model in order, and `targets` `[samples, …]`.

    A batch of several members has a leading dimension of them.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs, self.targets)

    def head(self, samples: int) -> "Batch":
        """A copy of the first `samples` samples, or of all if there are fewer."""
        return Batch(tuple(x[:samples].clone() for x in self.inputs), self.targets[:samples].clone())


class DrawnBatches(Protocol):
    """The batches of one step, of several seeds. samples: of each seed's."""

    @property
    def samples(self) -> int: ...

    def of(self, seed: int) -> Batch:
        """The batch of a seed, by its place among the seeds."""

    def several(self, seeds: Tensor) -> Batch:
        """The batches of these seeds, by their places, with a leading dimension of them."""


DrawsState = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""Tensors, and facts that JSON can write."""


class Draws(Protocol):
    """The batches of some seeds, step by step; those of a seed depend on nothing else."""

    def next(self) -> DrawnBatches: ...

    def state(self) -> DrawsState: ...

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Continues from a `state`."""


class Source(Protocol):
    """The samples of a split. Its length is the number of samples in an epoch."""

    def __len__(self) -> int: ...

    @property
    def indexed(self) -> bool:
        """Whether what it draws are `Indexed`, so that a device can gather samples by itself."""

    def draws(self, seeds: Sequence[int], batch_size: int, *, drop_last: bool) -> Draws:
        """The batches in training; `drop_last` drops the short last one of an epoch."""

    def first(self, sizes: Sequence[int]) -> list[Batch]:
        """Copies of batches of these sizes in the source's own order, which begins anew at its end."""

    def chunks(self, most: int) -> Iterator[Batch]:
        """All samples once, in their order, at most about `most` at a time; copies, which a model may write into."""

    def labels(self) -> Iterator[Tensor]:
        """The targets alone, of all samples."""

    def head(self, samples: int) -> "Source":
        """The first `samples` samples, or all if there are fewer."""

    def to(self, device: torch.device) -> "Source":
        """The same samples on a device."""

    def digest(self) -> Sequence[Any]:
        """What its content is told by: tensors, or a function that yields them."""
