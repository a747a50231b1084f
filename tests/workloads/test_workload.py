"""What a workload accepts and how it refuses the rest."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.errors import InputError
from thalweg.workloads.metrics import Metric
from thalweg.workloads.regression import mae
from thalweg.workloads.split import Split
from thalweg.workloads.workload import Workload


def model() -> nn.Module:
    return nn.Linear(2, 3)


X, Y = torch.arange(10.0).reshape(5, 2), torch.tensor([0, 1, 2, 0, 1])
GOOD = {"name": "five", "model": model, "train": (X, Y), "validation": (X[:2], Y[:2])}


def test_defaults():
    workload = Workload(**GOOD)
    assert workload.test is None
    assert workload.loss is nn.functional.cross_entropy
    assert (workload.metric.name, workload.metric.higher_is_better) == ("accuracy", True)
    assert (workload.batch_size, workload.epochs, workload.target) == (32, 10, None)


def test_splits_keep_the_data():
    workload = Workload(**GOOD, test=(X[2:], Y[2:]))
    assert [len(s) for s in (workload.train, workload.validation, workload.test)] == [5, 2, 3]
    assert torch.equal(workload.test.inputs[0], X[2:])
    assert torch.equal(workload.test.targets, Y[2:])


def test_two_inputs_are_a_tuple():
    other = torch.zeros(5, 7, 1)
    workload = Workload(**{**GOOD, "train": ((X, other), Y), "validation": ((X, other), Y)})
    assert len(workload.train.inputs) == 2
    assert workload.train.inputs[0].shape == (5, 2)
    assert workload.train.inputs[1].shape == (5, 7, 1)


def test_arrays_and_lists_become_tensors():
    workload = Workload(**{**GOOD, "train": [X.numpy(), Y.numpy()], "validation": ([[1.0, 2.0], [3.0, 4.0]], [0, 1])})
    assert torch.equal(workload.train.inputs[0], X)
    assert len(workload.validation.inputs) == 1
    assert workload.validation.inputs[0].shape == (2, 2)


def test_data_carry_no_gradient():
    assert not Workload(**{**GOOD, "train": (X.clone().requires_grad_(), Y)}).train.inputs[0].requires_grad


def test_a_changed_copy_keeps_its_splits():
    workload = Workload(**GOOD)
    changed = replace(workload, batch_size=2)
    assert changed.train is workload.train
    assert changed != workload
    assert workload == replace(workload)


def test_workloads_of_separate_splits_differ():
    data = {**GOOD, "train": (X.clone(), Y)}
    assert Workload(**data) != Workload(**{**data, "train": (X.clone(), Y)})


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 5), (2, 3), (5, 1), (100, 1)])
def test_the_short_last_batch_is_a_step(batch_size, steps):
    assert Workload(**GOOD, batch_size=batch_size).steps_per_epoch == steps


def test_metric_by_name_callable_or_metric():
    def share(outputs, targets):
        return 1

    own = Metric("mine", mae, higher_is_better=False)
    assert Workload(**GOOD, metric="mae").metric.function is mae
    assert Workload(**GOOD, metric=own).metric is own
    metric = Workload(**GOOD, metric=share).metric
    assert (metric.name, metric.function, metric.higher_is_better) == ("share", share, None)


REFUSED = {
    "empty": ("train", (X[:0], Y[:0]), "train holds no samples"),
    "empty split": ("train", Split((X[:0],), Y[:0]), "train holds no samples"),
    "no inputs": ("train", ((), Y), "train holds no samples"),
    "lengths": ("validation", (X, Y[:4]), r"validation: X and y must be of one length, got lengths \[4, 5\]"),
    "lengths of a split": ("test", Split((X,), Y[:4]), r"test: .* lengths \[4, 5\]"),
    "lengths of inputs": ("train", ((X, X[:3]), Y), r"train: .* lengths \[3, 5\]"),
    "no labels": ("train", X, r"train must be a pair \(X, y\) of tensors, or a dict .* got Tensor"),
    "triple": ("train", (X, Y, Y), r"train must be a pair .* got tuple of length 3"),
    "no validation": ("validation", None, "validation must be a pair .* got NoneType"),
    "text": ("train", (X, ["a", "b"]), "train: y holds texts: number them"),
    "objects": ("train", (np.array([object()]), Y[:1]), "train must hold tensors or arrays, got ndarray"),
    "a number": ("train", (X, 3), r"train must hold tensors of shape \[samples, …\], got a single number"),
    "a model": ("model", model(), r"model must be a factory .* got Linear\."),
    "no model": ("model", None, "model must be a factory .* got NoneType"),
    "loss by name": ("loss", "mse", r"loss must be a callable .* got str\."),
    "unknown metric": ("metric", "dice", r"Unknown metric 'dice'\. Known: accuracy, auroc, .*, rmse, topK\."),
    "metric": ("metric", 3, r"metric must be a name or a callable .* got int\."),
    **{
        f"batch_size {v}": ("batch_size", v, f"batch_size .* from 1 to 1,000,000,000, got {v}")
        for v in (0, -1, 2.5, True)
    },
    **{f"epochs {v}": ("epochs", v, f"epochs .* from 1 to 1,000,000, got {v}") for v in (0, -3, 1.5, None)},
    **{f"target {v}": ("target", v, f"target must be a finite number, got '?{v}") for v in (np.nan, np.inf, "a")},
}


@pytest.mark.parametrize(("field", "value", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(field, value, message):
    with pytest.raises(InputError, match=message):
        Workload(**{**GOOD, field: value})


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (None, "accuracy"), (nn.CrossEntropyLoss(), "accuracy"), (nn.BCEWithLogitsLoss(), "accuracy"),
        (nn.functional.mse_loss, "mse"), (nn.L1Loss(), "mae"), (nn.HuberLoss(), "loss"),
        (lambda outputs, targets: outputs.mean(), "accuracy"),
    ],
)  # fmt: skip
def test_the_metric_follows_from_the_loss(loss, name) -> None:
    assert Workload(name="w", model=model, train=(X, Y), validation=(X, Y), loss=loss).metric.name == name
