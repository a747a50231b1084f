"""A stream whose epochs have fewer or more samples than it declares says so, once; what is dropped is no such case."""

import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, SequentialSampler

from thalweg.workloads.reading import DataWarning
from thalweg.workloads.stream import Stream
from thalweg.workloads.workload import Workload

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


class Declared(IterableDataset[Any]):
    """Yields all 20 samples, in each worker anew, and declares another number."""

    def __init__(self, declared: int) -> None:
        self.declared = declared

    def __iter__(self) -> Iterator[Any]:
        return zip(X, Y, strict=True)

    def __len__(self) -> int:
        return self.declared


class Random(Dataset[Any]):
    """Streamed, as it draws random numbers."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, i: int) -> Any:
        return X[i] + torch.randn(3), Y[i]


class Growing(BatchSampler):
    """Batches of 4, 7 and 9 samples."""

    def __init__(self) -> None:
        super().__init__(SequentialSampler(range(20)), 4, drop_last=False)

    def __iter__(self) -> Iterator[list[int]]:
        return (list(range(a, b)) for a, b in ((0, 4), (4, 11), (11, 20)))

    def __len__(self) -> int:
        return 3


def stream_of(train: Any) -> Stream:
    found = Workload(name="w", model=lambda: nn.Linear(3, 2), train=train, validation=(X, Y)).train
    assert isinstance(found, Stream)
    return found


def epoch(seed: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(X.split(8), Y.split(8), strict=True)


def of_loader(declared: int, **given: Any) -> Stream:
    return stream_of(DataLoader(Declared(declared), batch_size=8, **given))


SENTENCE = (
    "The stream of train yields {} than the {} samples that are declared, in epoch 0 of seed 3: epochs and steps are"
    " counted by the declared number; declare what it yields"
)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: of_loader(25), SENTENCE.format("20, fewer", 25) + "."),
        (lambda: of_loader(15), SENTENCE.format("more", 15) + "."),
        (lambda: Stream(epoch, 21), SENTENCE.format("20, fewer", 21) + "."),
        (lambda: Stream(epoch, 19), SENTENCE.format("more", 19) + "."),
        (
            lambda: of_loader(20, num_workers=2),  # of which each yields all
            SENTENCE.format("more", 20)
            + ", and where each of the loader's workers reads all, divide them by torch.utils.data.get_worker_info.",
        ),
    ],
)
def test_another_number_is_said_once(make: Any, sentence: str) -> None:
    stream = make()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for number in range(2):
            list(stream.batches(3, number))
        list(stream.to(torch.device("cpu")).batches(3, 0))
    own = [str(w.message) for w in told if issubclass(w.category, DataWarning)]
    assert own == [sentence]


def test_more_is_said_as_soon_as_it_shows() -> None:
    """An epoch that is longer than the training is never read to its end."""
    batches = Stream(epoch, 8).batches(0, 0)
    next(batches)
    with pytest.warns(DataWarning, match=re.escape("yields more than the 8 samples")):
        next(batches)


@pytest.mark.parametrize(
    ("make", "samples", "read"),
    [
        (lambda: of_loader(20), 20, 20),
        (lambda: of_loader(20, drop_last=True), 16, 16),
        (lambda: Stream(epoch, 20), 20, 20),
        (lambda: stream_of(DataLoader(Random(), batch_size=8, shuffle=True, drop_last=True)), 16, 16),
        (lambda: stream_of(DataLoader(Random(), batch_sampler=Growing())), 12, 20),  # declared in batches
    ],
)
def test_the_declared_number_is_no_news(make: Any, samples: int, read: int) -> None:
    stream = make()
    assert len(stream) == samples
    assert sum(len(batch.targets) for batch in stream.batches(0, 0)) == read
    assert sum(len(batch.targets) for batch in stream.batches(0, 0, least=5)) <= read


@pytest.mark.parametrize("declared", [12, 30])
@pytest.mark.filterwarnings("ignore::thalweg.workloads.reading.DataWarning")
def test_all_that_it_yields_is_measured_once(declared: int) -> None:
    (chunk,) = Stream(epoch, declared).chunks(100)
    assert torch.equal(chunk.inputs[0], X)
    assert torch.equal(chunk.targets, Y)
