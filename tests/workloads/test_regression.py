"""R2 and RMSE against scikit-learn."""

import pytest
import sklearn.metrics as skm
import torch
from torch import Tensor

from thalweg.errors import InputError, ReturnValueError
from thalweg.workloads.metric_names import metric_named
from thalweg.workloads.regression import R2, RMSE


def pair(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Outputs that are near targets of another mean and scale in each column."""
    g = torch.Generator().manual_seed(3)
    targets = torch.randn(*shape, generator=g, dtype=dtype) * torch.arange(1, shape[-1] + 1) + 5
    return targets + torch.randn(*shape, generator=g, dtype=dtype) / 2, targets


@pytest.mark.parametrize("shape", [(30,), (30, 1), (30, 4)])
def test_r2(shape: tuple[int, ...]) -> None:
    outputs, targets = pair(*shape)
    assert R2()(outputs, targets).item() == pytest.approx(skm.r2_score(targets, outputs), abs=1e-12)
    assert R2()(targets, targets).item() == 1.0
    assert R2()(targets.mean(0).expand_as(targets), targets).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("shape", [(30,), (30, 4), (6, 5, 4)])
def test_rmse(shape: tuple[int, ...]) -> None:
    outputs, targets = pair(*shape)
    expected = skm.root_mean_squared_error(targets.flatten(), outputs.flatten())
    assert RMSE(outputs, targets).item() == pytest.approx(expected, rel=1e-12)


def test_r2_is_in_float64() -> None:
    """Of targets far from 0, whose float32 sums of squares would cancel."""
    outputs, targets = (t + 1e4 for t in pair(1000, dtype=torch.float32))
    expected = skm.r2_score(targets.double(), outputs.double())
    assert R2()(outputs, targets).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["r2", "rmse"])
def test_members_at_once(name: str) -> None:
    metric = metric_named(name)
    (outputs, targets), scale = pair(20, 3), torch.arange(1.0, 5.0).double()
    members = outputs * scale[:, None, None]
    together = torch.vmap(metric.function, in_dims=(0, None))(members, targets)
    assert metric.vectorized
    assert together.tolist() == pytest.approx([metric.function(o, targets).item() for o in members], rel=1e-12)


def test_constant_targets() -> None:
    with pytest.raises(ReturnValueError, match=r"^the split: r2 .* and y is 0\.1 in every sample: give targets that"):
        R2()(torch.rand(7), torch.full((7,), 0.1))
    _, targets = pair(8, 3)
    targets[:, 2] = 4.0
    with pytest.raises(ReturnValueError, match=r"^test: .* and column 2 of y is 4 in every sample"):
        R2().require_targets("test", targets)


def test_shapes_refused() -> None:
    with pytest.raises(InputError, match=r"^r2 compares .* \[3, 1\] and \[3\]"):
        R2()(torch.zeros(3, 1), torch.arange(3.0))
    with pytest.raises(InputError, match=r"^r2 takes .* \[samples\] or \[samples, columns\], got 3 dimensions"):
        R2()(*pair(4, 2, 3))
    with pytest.raises(InputError, match=r"\[3, 1\] and \[3\]"):
        RMSE(torch.zeros(3, 1), torch.arange(3.0))
