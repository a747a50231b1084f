"""The metrics against small cases worked by hand."""

import pytest
import torch

from thalweg.errors import InputError
from thalweg.workloads.classification import accuracy
from thalweg.workloads.metric_names import METRICS, metric_named
from thalweg.workloads.regression import mae, mse


def test_accuracy_is_the_share_of_right_answers():
    outputs = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]])
    assert accuracy(outputs, torch.tensor([0, 1, 1])).item() == pytest.approx(2 / 3, abs=1e-15)


def test_mse_and_mae():
    outputs, targets = torch.tensor([[1.0], [4.0]]), torch.tensor([[3.0], [3.0]])
    assert mse(outputs, targets).item() == 2.5
    assert mae(outputs, targets).item() == 1.5


def test_means_are_taken_in_float64():
    # A float32 mean of a million elements is good to seven digits at best.
    outputs = torch.full((1_000_000,), 0.1)
    exact = outputs[0].double().item()
    assert mae(outputs, torch.zeros(1_000_000)).item() == pytest.approx(exact, rel=1e-12)
    assert accuracy(torch.eye(2)[[0, 0, 0]], torch.zeros(3).long()).dtype == torch.float64


@pytest.mark.parametrize("metric", [mse, mae])
def test_shapes_that_would_broadcast_are_refused(metric):
    with pytest.raises(InputError, match=rf"^{metric.__name__} .*\[3, 1\] and \[3\]"):
        metric(torch.zeros(3, 1), torch.zeros(3))


def test_accuracy_refuses_targets_that_would_broadcast():
    with pytest.raises(InputError, match=r"^accuracy .*\[3\] and \[3, 1\]"):
        accuracy(torch.zeros(3, 2), torch.zeros(3, 1))


@pytest.mark.parametrize("metric", [METRICS[name] for name in ("accuracy", "mse", "mae")], ids=lambda m: m.name)
def test_a_vectorized_metric_gives_each_member_its_own_number(metric):
    torch.manual_seed(0)
    outputs, targets = torch.rand(4, 6, 3), torch.randint(3, (6,))  # [members, samples, classes], [samples]
    if metric.name != "accuracy":
        outputs, targets = outputs[..., 0], targets.float()
    together = torch.vmap(metric.function, in_dims=(0, None))(outputs, targets)
    assert metric.vectorized
    apart = torch.stack([metric.function(member, targets) for member in outputs])
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=0)


def test_by_name():
    assert metric_named("mae").function is mae
    with pytest.raises(InputError, match=r"^Unknown metric 'acuracy'\. Did you mean accuracy or auroc\?$"):
        metric_named("acuracy")
