"""The digits workload: sizes, ranges, and a split that is stratified, disjoint and complete."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from thalweg.workloads.digits import digits
from thalweg.workloads.workload import Workload


@pytest.fixture(scope="module")
def workload() -> Workload:
    return digits()


def splits(workload: Workload):
    return workload.train, workload.validation, workload.test


def test_facts(workload):
    assert (workload.name, workload.batch_size, workload.epochs, workload.target) == ("digits", 32, 20, 0.95)
    assert workload.metric.name == "accuracy"
    assert workload.loss is torch.nn.functional.cross_entropy
    assert workload.steps_per_epoch == 34  # ⌈1077 / 32⌉


def test_sizes_types_and_ranges(workload):
    assert [len(split) for split in splits(workload)] == [1077, 360, 360]
    for split in splits(workload):
        (x,) = split.inputs
        assert x.shape == (len(split), 64)
        assert (x.dtype, split.targets.dtype) == (torch.float32, torch.int64)
        assert (x.min().item(), x.max().item()) == (0, 1)


def test_the_splits_are_the_dataset_divided(workload):
    rows = np.concatenate([np.c_[s.inputs[0].numpy() * 16, s.targets.numpy()] for s in splits(workload)])
    data = load_digits()
    everything = np.c_[data.data, data.target]
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], everything[np.lexsort(everything.T)])


def test_the_splits_are_those_that_scikit_learn_drew(workload):
    """In their order; the file of indices is read in place of drawing them again."""
    data = load_digits()
    rest, test = train_test_split(np.arange(1797), test_size=0.2, stratify=data.target, random_state=0)
    train, validation = train_test_split(rest, test_size=0.25, stratify=data.target[rest], random_state=0)
    for split, rows in zip(splits(workload), (train, validation, test), strict=True):
        np.testing.assert_array_equal(split.inputs[0].numpy(), (data.data[rows] / 16).astype(np.float32))
        np.testing.assert_array_equal(split.targets.numpy(), data.target[rows])


def test_scikit_learn_is_not_imported_but_where_its_file_lies_elsewhere(workload, monkeypatch):
    code = "import sys, thalweg.workloads.digits as d; d.digits(); print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
    monkeypatch.setattr("thalweg.workloads.digits.find_spec", lambda name: None)
    for split, again in zip(splits(workload), splits(digits()), strict=True):
        assert torch.equal(split.inputs[0], again.inputs[0])
        assert torch.equal(split.targets, again.targets)


def test_every_split_is_stratified(workload):
    counts = np.bincount(load_digits().target)
    for split in splits(workload):
        expected = counts * len(split) / counts.sum()
        assert np.abs(np.bincount(split.targets.numpy()) - expected).max() <= 1


def test_the_split_is_the_same_every_time(workload):
    for split, again in zip(splits(workload), splits(digits()), strict=True):
        assert torch.equal(split.inputs[0], again.inputs[0])
        assert torch.equal(split.targets, again.targets)


def test_the_model(workload):
    torch.manual_seed(0)
    model = workload.model()
    assert [layer.in_features for layer in model.hidden] == [64, 100, 100]
    assert model(workload.test.inputs[0]).shape == (360, 10)
    first = model.hidden[0].weight
    assert first.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)
    assert first.abs().max().item() > 2.5 * (2 / 64) ** 0.5  # a plain normal, which is not cut
    assert workload.model() is not model
