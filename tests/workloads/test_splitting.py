"""Parts of samples: sizes, classes, repeatability, refusals; scikit-learn's stratification obeys the same bounds."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from thalweg.errors import InputError
from thalweg.workloads.splitting import shares

USUAL = {"validation": 0.2, "test": 0.2}


def counts_of(targets: torch.Tensor, index: torch.Tensor, classes: int) -> np.ndarray:
    return np.bincount(targets[index].numpy(), minlength=classes)


def labels(counts: list[int], seed: int = 0) -> torch.Tensor:
    """Class numbers in which class i occurs counts[i] times, shuffled."""
    ordered = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return ordered[torch.randperm(len(ordered), generator=torch.Generator().manual_seed(seed))]


@given(
    counts=st.lists(st.integers(0, 60) | st.integers(30, 60), min_size=1, max_size=8).filter(lambda c: sum(c) >= 12),
    validation=st.floats(0.1, 0.4),
    test=st.floats(0.1, 0.4),
    seed=st.integers(0, 2**63 - 1),
)
def test_every_sample_is_in_one_part_and_every_class_in_all(counts, validation, test, seed):
    targets, given_shares = labels(counts), {"validation": validation, "test": test}
    parts = shares(targets, given_shares, seed)
    assert list(parts) == ["train", "validation", "test"]
    assert {part.dtype for part in parts.values()} == {torch.int64}
    assert torch.cat(list(parts.values())).sort().values.tolist() == list(range(len(targets)))

    frequent = [c >= 3 for c in counts]
    spare = min(counts) * min(validation, test, 1 - validation - test) >= 3
    stratified = sum(c > 0 for c in counts) ** 2 <= 4 * len(targets)
    for name, share in given_shares.items():
        quotas, found = np.array(counts) * share, counts_of(targets, parts[name], len(counts))
        least = sum(frequent) if stratified else 1
        # Half a sample for rounding; a part grows to one sample of each frequent class.
        assert len(parts[name]) <= max(len(targets) * share + 0.5, least) + 1e-9
        if stratified:
            assert all(n >= 1 for n, common in zip(found, frequent, strict=True) if common)
            assert not spare or np.abs(found - quotas).max() < 1 + 1e-9
    if stratified:
        kept = counts_of(targets, parts["train"], len(counts))
        assert all(k >= 1 for k, c in zip(kept, counts, strict=True) if c), "a rare class is trained on first"


@pytest.mark.parametrize("samples", [5, 10, 13, 99, 1000])
@pytest.mark.parametrize("targets", [torch.rand, lambda n: torch.zeros(n, 2, dtype=torch.int64), torch.arange])
def test_sizes_are_rounded_shares_where_nothing_is_stratified(samples, targets):
    parts = shares(targets(samples), {"validation": 0.25, "test": 0.1}, 3)
    quarter, tenth = int(samples / 4 + 0.5), int(samples / 10 + 0.5)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": samples - quarter - tenth,
        "validation": quarter,
        "test": tenth,
    }


@pytest.mark.parametrize("counts", [[100, 50, 25], [33, 33, 34], [500, 7, 21, 90], [10] * 9])
def test_classes_are_divided_as_scikit_learn_does(counts):
    targets, samples = labels(counts), sum(counts)
    quotas = np.array(counts) * 0.2
    _, theirs = train_test_split(np.arange(samples), test_size=round(samples * 0.2), stratify=targets, random_state=0)
    ours = shares(targets, USUAL, 0)
    for index in (torch.from_numpy(theirs), ours["validation"], ours["test"]):
        assert len(index) == round(samples * 0.2)
        assert np.abs(counts_of(targets, index, len(counts)) - quotas).max() < 1
    assert np.abs(counts_of(targets, ours["train"], len(counts)) - 3 * quotas).max() < 2


def test_class_numbers_may_be_any():
    targets = labels([40, 40]) * 1000 - 100
    parts = shares(targets, USUAL, 0)
    assert [(targets[part] == -100).sum().item() for part in parts.values()] == [24, 8, 8]


def test_a_small_part_grows_to_one_sample_of_each_class():
    parts = shares(labels([5] * 10), {"validation": 0.1}, 0)
    assert counts_of(labels([5] * 10), parts["validation"], 10).tolist() == [1] * 10


def test_the_sample_left_over_goes_to_another_class_by_seed():
    """11 of 55 samples, of five classes of 11: one class has three, and no class has them for every seed."""
    targets = labels([11] * 5)
    largest = {counts_of(targets, shares(targets, USUAL, seed)["validation"], 5).argmax() for seed in range(40)}
    assert largest == set(range(5))


@pytest.mark.parametrize("targets", [labels([30, 20]), torch.linspace(0, 1, 50)])
def test_each_sample_is_as_likely_as_its_share(targets):
    drawn = torch.zeros(50)
    for seed in range(2000):
        drawn[shares(targets, {"validation": 0.2}, seed)["validation"]] += 1
    deviation = (2000 * 0.2 * 0.8) ** 0.5
    assert (drawn - 400).abs().max() < 4.5 * deviation


def test_parts_are_in_random_order():
    part = shares(torch.zeros(1000), USUAL, 0)["train"]
    assert abs(np.corrcoef(np.arange(len(part)), part.numpy())[0, 1]) < 0.15


def test_the_seed_alone_decides():
    targets = labels([30, 30, 40])
    torch.manual_seed(1)
    first = shares(targets, USUAL, 7)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    again, other = shares(targets, USUAL, 7), shares(targets, USUAL, 8)
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()
    assert states[2] == random.getstate()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["train"], other["train"])


@pytest.mark.parametrize(
    ("samples", "given_shares", "seed", "sentence"),
    [
        (9, {"validation": 0}, 0, r"validation must be a number in \(0, 1\), got 0\."),
        (9, {"test": 1}, 0, r"test must be a number in \(0, 1\), got 1\."),
        (9, {"test": True}, 0, r"test must be a number in \(0, 1\), got True\."),
        (9, {"test": float("nan")}, 0, r"test must be a number in \(0, 1\), got nan\."),
        (9, {"test": "0.2"}, 0, r"test must be a number in \(0, 1\), got '0\.2'\."),
        (9, {"validation": 0.5, "test": 0.5}, 0, r"shares validation=0\.5 and test=0\.5 leave nothing to train on"),
        (9, {"train": 0.8}, 0, r"train takes what the other parts leave"),
        (9, {}, 0, "shares must name a part"),
        (2, {"validation": 0.2}, 0, r"2 samples divided by validation=0\.2 leave validation empty: give more"),
        (1, {"validation": 0.9}, 0, "leave train empty"),
        (0, {"validation": 0.9}, 0, "leave validation empty"),
        (9, {"test": 0.2}, -1, r"seed must be a whole number in \[0, .*got -1\."),
        (9, {"test": 0.2}, 0.5, r"seed must be a whole number in \[0, .*got 0\.5\."),
    ],
)
def test_refusals(samples, given_shares, seed, sentence):
    with pytest.raises(InputError, match=sentence):
        shares(torch.zeros(samples), given_shares, seed)
