"""Datasets and loaders of torch are the samples that they give, drawn as they say; what is random is streamed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import thalweg
from scope import conformance_only
from stopping import outcomes
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.split import Split
from thalweg.workloads.stream import Stream
from thalweg.workloads.workload import Workload

X = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
PAIR = (X, Y)


def workload(train: Any, **given: Any) -> Workload:
    return Workload(name="w", model=lambda: nn.Linear(6, 2), train=train, validation=PAIR, epochs=2, **given)


class Samples(Dataset[Any]):
    """Samples in some form."""

    def __init__(self, form: Any = lambda x, y: (x, y)) -> None:
        self.form = form

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> Any:
        return self.form(X[i], Y[i])


class Noisy(Samples):
    def __getitem__(self, i: int) -> Any:
        return X[i] + 0.1 * torch.randn(6) + float(np.random.rand()), Y[i]


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter([(X[i], Y[i]) for i in range(20)])


@dataclass
class Both:
    x: Tensor
    labels: Tensor


def collated(samples: list[Any]) -> Both:
    xs, ys = zip(*samples, strict=True)
    return Both(torch.stack(xs), torch.stack(ys))


@pytest.mark.parametrize(
    "train", [TensorDataset(X, Y), Samples(), Samples(lambda x, y: (x.numpy(), int(y))), Samples(lambda x, y: [x, y])]
)
def test_a_dataset_is_its_samples(train: Any) -> None:
    split = workload(train).train
    assert isinstance(split, Split)
    assert torch.equal(split.inputs[0], X)
    assert torch.equal(split.targets, Y)
    epoch = torch.cat([split.draws([3], 8, drop_last=False).next().of(0).targets for _ in range(1)])
    expected = torch.randperm(50, generator=torch.Generator().manual_seed(3))[:8]
    assert torch.equal(epoch, Y[expected])


def test_a_loader_says_batch_size_and_drop_last() -> None:
    of = workload(DataLoader(TensorDataset(X, Y), batch_size=16, shuffle=True, drop_last=True))
    assert (of.batch_size, of.drop_last, of.steps_per_epoch) == (16, True, 3)
    own = workload(DataLoader(TensorDataset(X, Y), batch_size=16, drop_last=True), batch_size=10, drop_last=False)
    assert (own.batch_size, own.drop_last, own.steps_per_epoch) == (10, False, 5)
    assert workload(PAIR).batch_size == 32
    assert replace(of, epochs=3).batch_size == 16


def test_a_loader_that_does_not_shuffle_is_read_in_order() -> None:
    draws = workload(DataLoader(TensorDataset(X, Y), batch_size=16)).train.draws([0, 1], 16, drop_last=False)
    drawn = [draws.next() for _ in range(5)]
    assert [b.samples for b in drawn] == [16, 16, 16, 2, 16]
    for seed in (0, 1):
        assert torch.equal(torch.cat([b.of(seed).inputs[0] for b in drawn]), torch.cat([X, X[:16]]))


@pytest.mark.parametrize("replacement", [True, False])
def test_weights_of_a_sampler(replacement: bool) -> None:
    weights = torch.where(torch.arange(50) < 25, 3.0, 1.0)
    sampler = WeightedRandomSampler(weights.tolist(), 40, replacement=replacement)
    of = workload(DataLoader(Samples(lambda x, y: (x, torch.tensor(0))), batch_size=20, sampler=sampler))
    assert of.steps_per_epoch == 2
    draws, counts = of.train.draws([0], 20, drop_last=False), torch.zeros(50)
    for _ in range(500):
        epoch = torch.cat([draws.next().index[0] for _ in range(2)])  # type: ignore[attr-defined]
        counts += torch.bincount(epoch, minlength=50)
        assert replacement or len(epoch.unique()) == 40
    share = float(counts[:25].sum() / counts.sum())
    assert abs(share - 0.75) < 0.01 if replacement else 0.55 < share < 0.7


FORMS: dict[str, Any] = {
    "a longer tuple": (lambda x, y: (x[:2], x[2:], y), 2, ()),
    "nested": (lambda x, y: ((x[:2], x[2:]), y), 2, ()),
    "a dict": (lambda x, y: {"labels": y, "a": x[:2], "b": x[2:]}, 2, ("a", "b")),
    "a dict in a pair": (lambda x, y: ({"a": x[:2], "b": x[2:]}, y), 2, ("a", "b")),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_samples(form: str) -> None:
    make, count, names = FORMS[form]
    split = workload(Samples(make)).train if False else Workload(
        name="w", model=lambda: nn.Linear(6, 2), train=Samples(make), validation=Samples(make)
    ).train  # fmt: skip
    assert (split.layout.inputs, split.layout.names) == (count, names)
    assert torch.equal(torch.cat(split.inputs, 1), X)
    assert torch.equal(split.targets, Y)


def test_a_collate_function_makes_the_batches() -> None:
    loader = DataLoader(Samples(), batch_size=10, collate_fn=collated)
    of = Workload(name="w", model=lambda: nn.Linear(6, 2), train=loader, validation=loader)
    batch = of.train.first([4])[0]
    assert isinstance(of.train, Split)
    assert of.train.layout.packed(batch) == Both(batch.inputs[0], batch.targets)
    assert (of.train.layout.names, of.train.layout.target) == (("x",), "labels")


def test_what_is_random_is_streamed_and_repeats() -> None:
    of = workload(DataLoader(Noisy(), batch_size=20, shuffle=True))
    assert isinstance(of.train, Stream)
    assert of.steps_per_epoch == 3

    def epochs(seed: int) -> list[Tensor]:
        torch.rand(7)  # another state of the global generator
        draws = of.train.draws([seed], 20, drop_last=False)
        return [draws.next().of(0).inputs[0] for _ in range(6)]

    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[union-attr, index]
    first = epochs(1)
    torch.set_rng_state(before[0])
    torch.rand(7)
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[union-attr, index]
    assert all(torch.equal(a, b) for a, b in zip(first, epochs(1), strict=True))
    assert not torch.equal(first[0], epochs(2)[0])
    assert not torch.equal(first[0], first[3])


def test_batches_of_several_shapes_are_streamed() -> None:
    def padded(samples: list[Any]) -> tuple[Tensor, Tensor]:
        longest = max(1 + int(y) + int(x[1] > 1.5) for x, y in samples)
        return torch.stack([x[:longest] for x, _ in samples]), torch.stack([y for _, y in samples])

    loader = DataLoader(Samples(), batch_size=5, shuffle=True, collate_fn=padded)
    of = Workload(name="w", model=lambda: nn.Linear(1, 2), train=loader, validation=PAIR)
    sizes = {of.train.draws([s], 5, drop_last=False).next().of(0).inputs[0].shape for s in range(20)}
    assert isinstance(of.train, Stream)
    assert len(sizes) > 1


def test_an_iterable_dataset_needs_a_length() -> None:
    with pytest.raises(
        thalweg.InputError, match=r"train does not say how many samples an epoch has: give thalweg.Stream"
    ):
        workload(DataLoader(Endless(), batch_size=5))


class Broken(Samples):
    def __getitem__(self, i: int) -> Any:
        raise KeyError("no file")


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        (Broken(), r"train cannot be read: KeyError: 'no file'"),
        (TensorDataset(X[:0], Y[:0]), r"train holds no samples"),
        (Samples(lambda x, y: (x, "text")), r"train: y holds texts: number them"),
        (Samples(lambda x, y: {"a": x}), r"train has a, and the loss needs targets: name them one of labels, label"),
        (Samples(lambda x, y: ((x, (x, x)), y)), r"X holds list of length 2 within another|X holds tuple"),
    ],
)
def test_refusals(train: Any, sentence: str) -> None:
    with pytest.raises(thalweg.InputError, match=sentence):
        workload(train)


def test_a_study_of_a_loader_equals_that_of_its_tensors() -> None:
    asked: dict[str, Any] = {"optimizers": "sgd,adam", "learning_rates": [0.1], "seeds": 2, "confirm_seeds": 1}
    loader = DataLoader(Samples(), batch_size=16, shuffle=True)
    ours = thalweg.compare(workload(loader), progress=False, **asked)
    theirs = thalweg.compare(workload(PAIR, batch_size=16), progress=False, **asked)
    assert [r.curve for r in ours.runs] == [r.curve for r in theirs.runs]


@conformance_only
def test_a_study_of_random_samples() -> None:
    loader = DataLoader(Noisy(), batch_size=16, shuffle=True)
    asked: dict[str, Any] = {"optimizers": "sgd", "learning_rates": [0.1], "seeds": 2, "confirm_seeds": 0}
    runs = [thalweg.compare(workload(loader), progress=False, **asked).runs for _ in range(2)]
    assert [r.curve for r in runs[0]] == [r.curve for r in runs[1]]


def test_a_loader_trains_natively_as_by_the_loop() -> None:
    """In its own order, and by weights."""
    weights = WeightedRandomSampler([1.0, 3.0] * 25, 40)
    for sampler in ({}, {"sampler": weights}):
        of = workload(DataLoader(TensorDataset(X, Y), batch_size=16, **sampler))
        runs = []
        for execution, native in (("loop", False), ("population", True)):
            planned = plan_job(of, 0, device=torch.device("cpu"), workers=1, execution=execution, native=native)  # type: ignore[arg-type]
            adam = recipe("adam")
            runs.append(outcomes(planned, [Member(adam, adam.resolve({"lr": 0.01}), s) for s in (0, 1)]))
        for a, b in zip(*runs, strict=True):
            assert [p.train_loss for p in a.curve] == pytest.approx([p.train_loss for p in b.curve], rel=1e-4)


def test_a_subset_sampler_is_its_samples() -> None:
    """The usual way to divide one dataset: neither part sees a sample of the other."""
    data, order = TensorDataset(X, Y), torch.randperm(50, generator=torch.Generator().manual_seed(1)).tolist()
    parts = [DataLoader(data, batch_size=8, sampler=SubsetRandomSampler(order[a:b])) for a, b in ((0, 40), (40, 50))]
    of = Workload(name="w", model=lambda: nn.Linear(6, 2), train=parts[0], validation=parts[1])
    assert torch.equal(of.train.inputs[0], X[order[:40]])
    assert torch.equal(of.validation.inputs[0], X[order[40:]])
    assert (len(of.train), len(of.validation), of.batch_size) == (40, 10, 8)


class Backwards(Sampler[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(9, -1, -1))

    def __len__(self) -> int:
        return 10


def test_a_sampler_of_ones_own_is_streamed_in_its_order() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=4, sampler=Backwards())
    of = workload(loader)
    assert isinstance(of.train, Stream)
    assert of.steps_per_epoch == 3
    draws = of.train.draws([0], 4, drop_last=False)
    assert torch.equal(torch.cat([draws.next().of(0).inputs[0] for _ in range(3)]), X[:10].flip(0))
    measured = Workload(name="w", model=lambda: nn.Linear(6, 2), train=PAIR, validation=loader).validation
    assert torch.equal(measured.inputs[0], X[:10])
    weights = DataLoader(TensorDataset(X, Y), sampler=WeightedRandomSampler([1.0] * 50, 50))
    with pytest.raises(thalweg.InputError, match="validation must hold its samples once each"):
        Workload(name="w", model=lambda: nn.Linear(6, 2), train=PAIR, validation=weights)


def test_a_weight_too_many_is_refused() -> None:
    """Native code would read what lies behind the samples."""
    sampler = WeightedRandomSampler([1.0] * 60, 40)
    with pytest.raises(thalweg.InputError, match="train has 50 samples, and its sampler 60 weights"):
        workload(DataLoader(TensorDataset(X, Y), sampler=sampler))
