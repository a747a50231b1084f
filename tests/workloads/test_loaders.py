"""What a DataLoader draws is what is trained and measured on: samplers, batch samplers, workers, collate functions."""

import random
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    random_split,
)  # fmt: skip

from thalweg.errors import InputError
from thalweg.workloads.reading import DataWarning
from thalweg.workloads.split import Split
from thalweg.workloads.stream import Stream
from thalweg.workloads.workload import Workload

X = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
SET = TensorDataset(X, Y)


def workload(train: Any, validation: Any = (X, Y), **given: Any) -> Workload:
    return Workload(name="w", model=lambda: nn.Linear(6, 2), train=train, validation=validation, **given)


class Samples(Dataset[Any]):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> Any:
        return X[i], Y[i]


class Noisy(Samples):
    def __getitem__(self, i: int) -> Any:
        return X[i] + torch.randn(6), Y[i]


class Even(Sampler[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(0, 96, 2))

    def __len__(self) -> int:
        return 48


class Eights(Sampler[list[int]]):
    """Twelve batches of eight."""

    def __iter__(self) -> Iterator[list[int]]:
        return (list(range(i, i + 8)) for i in range(0, 96, 8))

    def __len__(self) -> int:
        return 12


@pytest.mark.parametrize(
    ("loader", "index"),
    [
        (DataLoader(SET, batch_size=8, sampler=SubsetRandomSampler(range(10, 20))), range(10, 20)),
        (DataLoader(SET, batch_size=8, sampler=Even()), range(0, 96, 2)),
        (DataLoader(SET, batch_sampler=BatchSampler(SubsetRandomSampler(range(5)), 2, False)), range(5)),
        (DataLoader(SET, batch_sampler=Eights()), range(96)),
        (DataLoader(SET, batch_size=7, shuffle=True, drop_last=True), range(96)),
        (DataLoader(SET, batch_size=7), range(96)),
    ],
)
def test_validation_is_what_its_sampler_draws(loader: Any, index: range) -> None:
    for split in ("validation", "test"):
        of = workload((X, Y), **{split: loader})
        measured = getattr(of, split)
        assert torch.equal(measured.inputs[0], X[list(index)])
        assert torch.equal(measured.targets, Y[list(index)])


@pytest.mark.parametrize("generator", [None, torch.Generator().manual_seed(3)])
def test_a_part_of_validation_that_is_drawn_is_refused(generator: Any) -> None:
    sampler = RandomSampler(SET, num_samples=20, generator=generator)
    with pytest.raises(InputError, match="validation must hold its samples once each"):
        workload((X, Y), DataLoader(SET, sampler=sampler))


@pytest.mark.parametrize(
    ("loader", "size", "steps", "drawn"),
    [
        (DataLoader(SET, batch_sampler=BatchSampler(SubsetRandomSampler(range(64)), 8, False)), 8, 8, 64),
        (DataLoader(SET, batch_sampler=BatchSampler(SequentialSampler(SET), 10, True)), 10, 9, 90),
        (DataLoader(SET, batch_sampler=Eights()), 8, 12, 96),
        (DataLoader(SET, batch_size=8, sampler=Even()), 8, 6, 48),
        (DataLoader(TensorDataset(X.view(12, 8, 6), Y.view(12, 8)), batch_size=None), 8, 12, 96),
    ],
)
def test_epochs_are_the_loaders(loader: Any, size: int, steps: int, drawn: int) -> None:
    of = workload(loader, epochs=1)
    assert (of.batch_size, of.steps_per_epoch) == (size, steps)
    draws = of.train.draws([0], size, drop_last=of.drop_last)
    ours = torch.cat([draws.next().of(0).inputs[0] for _ in range(steps)])
    theirs = torch.cat([x for x, _ in loader])
    assert len(ours) == drawn
    assert torch.equal(ours.sort(0).values, theirs.sort(0).values)


def test_an_iterable_dataset_with_a_length() -> None:
    class Counted(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return zip(X, Y, strict=True)

        def __len__(self) -> int:
            return 96

    assert workload(DataLoader(Counted(), batch_size=8)).steps_per_epoch == 12
    with pytest.raises(InputError, match="validation must be samples by number, and an IterableDataset has none"):
        workload((X, Y), DataLoader(Counted(), batch_size=8))


def test_a_batch_size_beside_a_streaming_loaders() -> None:
    loader = DataLoader(Noisy(), batch_size=8, shuffle=True)
    assert workload(loader, batch_size=8).steps_per_epoch == 12
    with pytest.raises(InputError, match=r"batch_size=32, and the loader's batches, .*, are of 8 samples"):
        workload(loader, batch_size=32)


class Rarely(Samples):
    """One of fifty samples is augmented."""

    def __getitem__(self, i: int) -> Any:
        return (-X[i] if random.random() < 0.02 else X[i]), Y[i]


class OneClass(Samples):
    """Samples of a kind that is not among those looked at twice."""

    def __getitem__(self, i: int) -> Any:
        return (X[i] + np.random.normal() if i == 50 else X[i]), Y[i]


@pytest.mark.parametrize("dataset", [Noisy(), Rarely(), OneClass()])
def test_what_draws_random_numbers_is_streamed(dataset: Any) -> None:
    assert isinstance(workload(DataLoader(dataset, batch_size=8, shuffle=True)).train, Stream)
    assert isinstance(workload(DataLoader(Samples(), batch_size=8, shuffle=True)).train, Split)
    with pytest.warns(DataWarning, match="The samples of validation draw random numbers"):
        workload(*random_split(dataset, [80, 16]) if isinstance(dataset, Noisy) else ((X, Y), dataset))


class OwnGenerator(Samples):
    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)

    def __getitem__(self, i: int) -> Any:
        return X[i] + float(self.generator.normal()), Y[i]


def test_random_numbers_that_cannot_be_seeded_are_said() -> None:
    with pytest.warns(DataWarning, match="train gives other batches at each reading"):
        workload(DataLoader(OwnGenerator(), batch_size=8, shuffle=True))


def centred(samples: list[Any]) -> tuple[Tensor, Tensor]:
    x, y = (torch.stack(part) for part in zip(*samples, strict=True))
    return x - x.mean(0), y


def padded(samples: list[Any]) -> tuple[Tensor, Tensor]:
    longest = max(2 + int(y) + int(x[1] > 1) for x, y in samples)
    return torch.stack([x[:longest] for x, _ in samples]), torch.stack([y for _, y in samples])


@pytest.mark.parametrize("collate", [centred, padded])
def test_samples_that_depend_on_their_batch_are_streamed(collate: Any) -> None:
    of = workload(DataLoader(Samples(), batch_size=4, collate_fn=collate))
    assert isinstance(of.train, Stream)
    ours = of.train.draws([0], 4, drop_last=False).next().of(0)
    assert torch.equal(ours.inputs[0], collate([(X[i], Y[i]) for i in range(4)])[0])
    assert [len(chunk.targets) for chunk in of.train.chunks(1000)] == ([96] if collate is centred else [4] * 24)


@pytest.mark.parametrize("workers", [{"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}])
def test_seeds_do_not_share_workers(workers: dict[str, Any]) -> None:
    """Two seeds drawn in turns see what each sees by itself."""
    train = workload(DataLoader(Noisy(), batch_size=32, shuffle=True, **workers)).train

    def drawn(*seeds: int) -> list[list[Tensor]]:
        draws = train.draws(seeds, 32, drop_last=False)
        batches = [draws.next() for _ in range(4)]
        return [[b.of(i).inputs[0] for b in batches] for i in range(len(seeds))]

    for ours, theirs in zip(drawn(3, 4), (*drawn(3), *drawn(4)), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@dataclass
class Point:
    x: Tensor
    labels: Tensor


class Points(Samples):
    def __getitem__(self, i: int) -> Any:
        return Point(X[i], Y[i])


def test_samples_of_a_dataclass() -> None:
    train = workload(Points(), Points()).train
    assert train.layout.packed(train.at(torch.arange(3))).labels.tolist() == Y[:3].tolist()


Pair = namedtuple("Pair", ["labels", "x"])


def named(samples: list[Any]) -> Pair:
    x, y = (torch.stack(part) for part in zip(*samples, strict=True))
    return Pair(y, x)


FORMS: dict[str, tuple[Any, Any]] = {
    "one": (TensorDataset(X), (X[:4],)),
    "three": (TensorDataset(X, X, Y), (X[:4], X[:4], Y[:4])),
    "three tensors": ((X, X, Y), (X[:4], X[:4], Y[:4])),
    "named": (DataLoader(Samples(), collate_fn=named), Pair(Y[:4], X[:4])),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_step_has_batches_as_the_loader_gives_them(form: str) -> None:
    data, expected = FORMS[form]
    of = workload(data, data, step=lambda model, batch: model(batch[0]).mean())
    packed = of.train.layout.packed(of.train.at(torch.arange(4)))
    assert type(packed) is type(expected)
    assert len(packed) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(packed, expected, strict=True))


def test_a_stream_is_read_once_for_its_labels_and_first_batches() -> None:
    reads: list[int] = []

    def epoch(seed: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        reads.append(number)
        yield from zip(X.split(32), Y.split(32), strict=True)

    stream = Stream(epoch, 96)
    for _ in range(3):
        assert torch.equal(torch.cat(list(stream.labels())), Y)
        assert torch.equal(stream.first([4, 4])[1].inputs[0], X[32:36])
    assert len(reads) == 2
    stream.first([2])[0].inputs[0].zero_()
    assert torch.equal(stream.first([2])[0].inputs[0], X[:2])


class Unknown(Samples):
    def __len__(self) -> int:
        raise ValueError("no index")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"train": Unknown()}, "train cannot be read: ValueError: no index"),
        ({"train": (X, ["cat", "dog"] * 48)}, "train: y holds texts: number them, classes from 0"),
        ({"train": {"x": X, "name": ["a"] * 96, "labels": Y}}, r"train: X\['name'\] holds texts"),
        ({"loss": nn.CrossEntropyLoss}, r"loss must be a function or an object, CrossEntropyLoss\(\)"),
        (
            {"train": (X, (Y, Y)), "validation": 0.2},
            "metric 'accuracy' is of one tensor of targets, and the data have 2",
        ),
        (
            {"train": (X, (Y, Y)), "validation": 0.2, "metric": "r2"},
            "metric 'r2' is of one tensor of targets, and the data have 2",
        ),
        ({"validation": DataLoader(SET, sampler=SubsetRandomSampler([]))}, "validation holds no samples"),
        ({"train": DataLoader(Noisy(), batch_size=97, drop_last=True)}, "The loader of train yields no batch"),
        ({"train": Noisy(), "validation": {"x": X, "labels": Y}}, "validation is laid out otherwise than train"),
        ({"train": Noisy(), "validation": ((X, X), Y)}, "validation has 2 inputs and train has 1"),
    ],
)
def test_refusals(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        workload(**{"train": (X, Y), **given})
