"""A metric called accuracy that returns percent: 97 would be printed as 9700%."""

import pytest
import torch
from torch import nn

import thalweg


def times_100(outputs, targets):
    return 100 * (outputs.argmax(1) == targets).float().mean()


def workload(name, function):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 4, generator=generator), torch.arange(60) % 2
    metric = thalweg.Metric(function, name, higher_is_better=True)
    return thalweg.Workload(name="w", model=lambda: nn.Linear(4, 2), train=(x, y), validation=0.3, metric=metric)


def compared(of):
    return thalweg.compare(
        of, optimizers=["sgd"], learning_rates=[0.01], epochs=1, seeds=1, confirm_seeds=0, progress=False
    )


@pytest.mark.parametrize("name", ["accuracy", "top5", "F1"])
def test_it_is_refused(name):
    with pytest.raises(thalweg.InputError, match=r"must return a share from 0 to 1.*divide by 100"):
        compared(workload(name, times_100))


def test_under_another_name_it_is_a_number():
    assert "%" not in compared(workload("hits", times_100)).verdict


def test_a_share_is_taken():
    assert "%" in compared(workload("accuracy", lambda o, t: (o.argmax(1) == t).float().mean())).verdict
