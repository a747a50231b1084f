"""Which values of a metric are better, and how a `Metric` is written."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg
from thalweg.errors import InputError
from thalweg.workloads.classification import accuracy
from thalweg.workloads.losses import LOSSES
from thalweg.workloads.metric_names import METRICS
from thalweg.workloads.metrics import Metric, direction
from thalweg.workloads.regression import mae, mse

X, Y = torch.randn(6, 2), torch.randn(6, 1)


def rmse(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - targets).square().mean().sqrt()


class Own:
    """Like an object of torchmetrics."""

    def __init__(self, higher_is_better: Any = None) -> None:
        self.higher_is_better = higher_is_better

    def __call__(self, outputs: Any, targets: Any) -> float:
        return 0.0

    def loss(self, outputs: Any, targets: Any) -> Any:
        return rmse(outputs, targets)


class Overridden(nn.MSELoss):
    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return -super().forward(input, target)


class Renamed(nn.MSELoss):
    pass


def workload(**changes: Any) -> thalweg.Workload:
    sound = {"model": lambda: nn.Linear(2, 1), "train": (X, Y), "validation": (X, Y), "loss": F.mse_loss}
    return thalweg.Workload(name="w", **{**sound, **changes})


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_torchs_functions_are_better_lower(loss: Any) -> None:
    assert direction(loss) is False
    assert direction(functools.partial(loss, reduction="mean")) is False


MODULES = [n for n in vars(nn.modules.loss) if n.endswith("Loss") and not n.startswith(("_", "Linear"))]


@pytest.mark.parametrize("name", MODULES)
def test_torchs_modules_are_better_lower(name: str) -> None:
    cls = getattr(nn, name)
    loss = cls()
    assert direction(loss) is False
    assert Metric(loss).name == name


def test_none_of_torchs_losses_is_missed() -> None:
    """All that the documentation lists under "Loss functions"."""
    listed = """binary_cross_entropy binary_cross_entropy_with_logits poisson_nll_loss cosine_embedding_loss
    cross_entropy ctc_loss gaussian_nll_loss hinge_embedding_loss kl_div l1_loss mse_loss margin_ranking_loss
    multilabel_margin_loss multilabel_soft_margin_loss multi_margin_loss nll_loss huber_loss smooth_l1_loss
    soft_margin_loss triplet_margin_loss triplet_margin_with_distance_loss"""
    assert {getattr(F, name) for name in listed.split()} <= set(LOSSES)


@pytest.mark.parametrize(
    "function",
    [F.cosine_similarity, F.pairwise_distance, nn.CosineSimilarity(), rmse, Own(), Own("yes"), Overridden(), max,
     lambda o, t: 0, functools.partial(rmse), F.softmax, Own().loss],
)  # fmt: skip
def test_of_others_it_is_not_known(function: Any) -> None:
    assert direction(function) is None
    given = workload(metric=function)
    assert given.metric.higher_is_better is None
    with pytest.raises(InputError):
        _ = given.metric.maximized


@pytest.mark.parametrize(
    ("function", "higher"),
    [(Own(True), True), (Own(False), False), (functools.partial(Own(True)), True), (Renamed(), False)],
)
def test_what_says_so_itself(function: Any, *, higher: bool) -> None:
    assert workload(metric=function).metric.maximized is higher
    assert Metric(function).maximized is higher


def test_the_workloads_own_loss_is_better_lower() -> None:
    own = Own()
    for loss in (rmse, own.loss, functools.partial(rmse), lambda o, t: rmse(o, t)):
        assert workload(loss=loss, metric=loss).metric.maximized is False
    assert workload(loss=own.loss, metric=own.loss).metric.maximized is False  # a method is a new object each time
    assert workload(loss=functools.partial(rmse), metric=rmse).metric.maximized is False
    assert workload(loss=rmse, metric=Own().loss).metric.higher_is_better is None


def test_what_is_said_counts_more_than_what_is_known() -> None:
    assert Metric(F.mse_loss, higher_is_better=True).maximized is True
    assert workload(metric=Metric(Own(True), higher_is_better=False)).metric.maximized is False


@pytest.mark.parametrize(
    "metric",
    [Metric(rmse, higher_is_better=False), Metric("rmse", rmse, False), Metric(rmse, "rmse", False),
     Metric(name="rmse", function=rmse, higher_is_better=False), Metric("rmse", rmse, higher_is_better=False)],
)  # fmt: skip
def test_ways_to_write_one(metric: Metric) -> None:
    assert (metric.name, metric.function, metric.higher_is_better, metric.vectorized) == ("rmse", rmse, False, False)
    assert metric == replace(metric) == Metric(rmse, higher_is_better=False)
    assert replace(metric, vectorized=True).vectorized


def test_names() -> None:
    assert [Metric(f, higher_is_better=True).name for f in (rmse, functools.partial(rmse), Own(), lambda o, t: 0)] == [
        "rmse", "rmse", "Own", "metric",
    ]  # fmt: skip
    odd = Own()
    odd.__name__ = "a\nb"  # type: ignore[attr-defined]
    assert Metric(odd, higher_is_better=True).name == "metric"
    assert thalweg.Metric is Metric


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "The function of a metric must be a callable, got 3"),
        (("rmse",), "The function of a metric must be a callable, got None"),
        ((rmse, "a\nb"), "The name of a metric must be a text of one line"),
        ((3, rmse), "The name of a metric must be"),
        ((rmse, "rmse", 1), "higher_is_better of a metric must be True or False, got 1"),
        ((rmse, "rmse", "lower"), "must be True or False, got 'lower'"),
    ],
)
def test_refused(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Metric(*arguments)


def test_built_in_functions_are_known_by_themselves() -> None:
    assert workload(metric=mse).metric is METRICS["mse"]
    assert workload(metric=mae).metric.name == "mae"
    assert workload(metric=accuracy, loss=F.cross_entropy).metric.maximized


def test_an_object_that_is_compared_by_elements_is_no_trouble() -> None:
    class Array(Own):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> Any:
            return np.array([True, False])

    assert direction(Array(True), rmse) is True
    assert direction(Array(), Array()) is None
    assert callable(Metric(Array(True)).fresh())
