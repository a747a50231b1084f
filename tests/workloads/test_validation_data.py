"""Validation data that is no split in memory is refused in one sentence; what depends on its batch is said."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from thalweg.errors import InputError
from thalweg.workloads.reading import DataWarning
from thalweg.workloads.split import Split
from thalweg.workloads.stream import Stream
from thalweg.workloads.workload import Workload

X = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


class Words(Dataset[Any]):
    """Of one to six letters each; the longest comes last."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, i: int) -> Any:
        return X[i, : 1 + i * 5 // (self.samples - 1)], Y[i]


class Letters(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return zip(X, Y, strict=True)

    def __len__(self) -> int:
        return len(X)


def padded(samples: list[Any]) -> tuple[Tensor, Tensor]:
    xs, ys = zip(*samples, strict=True)
    return nn.utils.rnn.pad_sequence(list(xs), batch_first=True), torch.stack(ys)


def workload(validation: Any) -> Workload:
    return Workload(name="w", model=lambda: nn.Linear(6, 2), train=(X, Y), validation=validation)


REFUSED: dict[str, tuple[Any, str]] = {
    "batches of several shapes": (
        DataLoader(Words(300), batch_size=8, collate_fn=padded),
        "^validation must fit into memory, in batches of one shape: give it as tensors, or a loader that pads all"
        " samples to one length.$",
    ),
    "samples of several shapes": (Words(300), "^validation cannot be read: RuntimeError: stack expects each tensor"),
    "a stream": (
        Stream(lambda seed, number: [(X, Y)], 300),
        r"^validation must be a pair \(X, y\) of tensors: only train may be a stream.$",
    ),
    "an iterable dataset": (
        Letters(), "^validation must be samples by number, and an IterableDataset has none: give it as tensors.$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_split_is_refused(name: str) -> None:
    data, sentence = REFUSED[name]
    with pytest.raises(InputError, match=sentence):
        workload(data)


def test_padding_to_the_longest_of_all_is_said() -> None:
    told = "The samples of validation go by those that they are collated with, .* collated 256 at once, not in the"
    with pytest.warns(DataWarning, match=told):
        split = workload(DataLoader(Words(40), batch_size=8, collate_fn=padded)).validation
    assert isinstance(split, Split)
    assert split.inputs[0].shape == (40, 6)


def test_padding_to_one_length_is_no_news() -> None:
    def full(samples: list[Any]) -> tuple[Tensor, Tensor]:
        x, y = padded(samples)
        return nn.functional.pad(x, (0, 6 - x.shape[1])), y

    split = workload(DataLoader(Words(300), batch_size=8, collate_fn=full)).validation
    assert split.inputs[0].shape == (300, 6)
    assert torch.equal(split.inputs[0][-1], X[299])


class Noisy(Words):
    """Streamed, as it draws random numbers."""

    def __getitem__(self, i: int) -> Any:
        return X[i] + torch.randn(6), Y[i]


@pytest.mark.parametrize(("given", "size"), [({}, 32), ({"batch_size": 20}, 20)])
def test_a_dataset_is_streamed_in_the_workloads_batches(given: dict[str, Any], size: int) -> None:
    of = Workload(name="w", model=lambda: nn.Linear(6, 2), train=Noisy(300), validation=(X, Y), **given)
    assert isinstance(of.train, Stream)
    assert of.batch_size == size
    assert len(next(of.train.batches(0, 0)).targets) == size
    assert of.steps_per_epoch == -(-300 // size)


def test_a_batch_size_that_is_none_is_refused_as_ever() -> None:
    with pytest.raises(InputError, match="batch_size must be a whole number from 1"):
        Workload(name="w", model=lambda: nn.Linear(6, 2), train=Noisy(300), validation=(X, Y), batch_size=0)
