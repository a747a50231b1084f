"""The epochs of a `DataLoader` as a stream's, the same for the same seed; batches as the layout reads them."""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from thalweg.errors import InputError, first_line
from thalweg.workloads.loaders import is_plain
from thalweg.workloads.random_states import seeded_globally


@dataclass(frozen=True, eq=False)
class LoaderEpochs:
    """The epochs of a loader as `Stream` takes them: the same for the same seed and number, however they are read.

    Every batch is read with the random states of torch, Python and NumPy set for it, and these are restored. step:
    whether a custom step takes the batches.
    """

    loader: DataLoader[Any]
    step: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether an epoch is told in samples; otherwise, of a batch sampler, in batches."""
        return is_plain(self.loader)

    def __call__(self, seed: int, number: int) -> Iterator[Any]:
        own = getattr(self.loader, "generator", None)
        batches: Any = None
        for i in range(1 << 62):
            with seeded_globally(_key(seed, number, i)), blamed("train"):
                if batches is None:
                    if own is not None:
                        own.manual_seed(_key(seed, number, -1))
                    batches = iter(_fresh(self.loader))
                found = list(islice(batches, 1))
            if not found:
                return
            yield as_pair(found[0], step=self.step)


def _fresh(loader: DataLoader[Any]) -> DataLoader[Any]:
    """The loader with workers of its own for this epoch: persistent ones would serve one seed at a time."""
    if not loader.persistent_workers:
        return loader
    own = copy.copy(loader)
    vars(own).update(persistent_workers=False, _iterator=None)  # a loader refuses to have it assigned
    return own


def as_pair(batch: Any, *, step: bool = False) -> Any:
    """A batch as `layout.divided` reads it: of a longer tuple, the last is y; a custom step has it as it is."""
    batch = _tupled(batch)
    if step or not isinstance(batch, tuple) or hasattr(batch, "_fields"):
        return batch
    return (batch[:-1], batch[-1]) if len(batch) > 2 else batch


def _tupled(batch: Any) -> Any:
    """A batch with tuples of tensors in the place of lists, which collating makes of them."""
    if isinstance(batch, dict):
        return {key: _tupled(value) for key, value in batch.items()}
    if hasattr(batch, "_fields"):  # a named tuple remains one
        return batch
    if isinstance(batch, list | tuple) and any(isinstance(x, Tensor | list | tuple | dict) for x in batch):
        return tuple(map(_tupled, batch))
    return batch


def _key(*parts: int) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=4).digest(), "little")


@contextmanager
def blamed(name: str) -> Iterator[None]:
    """What a user's dataset raises becomes one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name} cannot be read: {type(error).__name__}: {first_line(error)}.") from error
