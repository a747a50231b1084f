"""torchmetrics' objects as metrics: their values, their direction, anew at every evaluation, of several members."""

import pytest
import torch
import torchmetrics
from torch import nn
from torch.nn import functional as F

import thalweg
from stopping import outcomes
from thalweg.errors import InputError, ReturnValueError
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(120, 4, generator=GENERATOR)
NOISE = torch.randn(120, generator=GENERATOR)
CLASSES = ((X[:, 0] + NOISE).clamp(-1, 1) + 1.5).long()
BINARY = (X[:, :1] + NOISE[:, None] > 0).double()
NUMBERS = X[:, :1] * 2 + NOISE[:, None]

CASES = {
    "accuracy": (torchmetrics.Accuracy(task="multiclass", num_classes=3), "accuracy", CLASSES),
    "top2": (torchmetrics.Accuracy(task="multiclass", num_classes=3, top_k=2), "top2", CLASSES),
    "f1": (torchmetrics.F1Score(task="multiclass", num_classes=3, average="macro"), "f1", CLASSES),
    "auroc": (torchmetrics.AUROC(task="multiclass", num_classes=3), "auroc", CLASSES),
    "of logits: accuracy": (torchmetrics.Accuracy(task="binary"), "accuracy", BINARY),
    "of logits: f1": (torchmetrics.F1Score(task="binary"), "f1", BINARY),
    "of logits: auroc": (torchmetrics.AUROC(task="binary"), "auroc", BINARY.long()),
    "mse": (torchmetrics.MeanSquaredError(), "mse", NUMBERS),
    "rmse": (torchmetrics.MeanSquaredError(squared=False), "rmse", NUMBERS),
    "mae": (torchmetrics.MeanAbsoluteError(), "mae", NUMBERS),
    "r2": (torchmetrics.R2Score(), "r2", NUMBERS),
}
"""Theirs, ours of the same name, and targets of that kind."""


def logits_loss(outputs, targets):
    return F.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype))


def workload(metric, y):
    width = 3 if y is CLASSES else y.shape[1]
    loss = None if y is CLASSES else F.mse_loss if y is NUMBERS else F.binary_cross_entropy_with_logits
    loss = logits_loss if y.dtype is torch.int64 and y is not CLASSES else loss
    return thalweg.Workload(
        name="w", model=lambda: nn.Linear(4, width, dtype=torch.float64), train=(X[:80].double(), y[:80]),
        validation=(X[80:].double(), y[80:]), loss=loss, metric=metric, batch_size=16, epochs=2,
    )  # fmt: skip


def trained(of, execution="auto"):
    """Two learning rates of two seeds, at once where they can be."""
    sgd = recipe("sgd")
    members = [Member(sgd, sgd.resolve({"lr": rate}), seed) for rate in (0.05, 0.2) for seed in (0, 1)]
    planned = plan_job(of, 0, device=torch.device("cpu"), workers=1, execution=execution)
    return outcomes(planned, members)


def values(runs):
    return [[point.validation_metric for point in run.curve] for run in runs]


def of_named(name, y):
    """Ours; of one logit, with targets as our loss takes them."""
    return workload(name, y if y.is_floating_point() or y is CLASSES else BINARY)


@pytest.mark.parametrize("case", CASES)
def test_its_values_are_ours(case):
    theirs, name, y = CASES[case]
    of = workload(theirs, y)
    assert of.metric.maximized == of_named(name, y).metric.maximized
    runs = trained(of)
    assert all(run.execution.startswith("population of 4") for run in runs), [run.execution for run in runs]
    expected = values(trained(of_named(name, y)))
    assert len({tuple(of) for of in expected}) > 1
    for mine, other in zip(values(runs), expected, strict=True):
        assert mine == pytest.approx(other, abs=1e-6)


def test_it_begins_anew_at_every_evaluation():
    """Whatever it was used for before, which it keeps."""
    used = torchmetrics.MeanSquaredError()
    used.update(torch.ones(3), torch.zeros(3))
    assert values(trained(workload(used, NUMBERS))) == values(
        trained(workload(torchmetrics.MeanSquaredError(), NUMBERS))
    )
    assert float(used.compute()) == 1.0


def test_the_plain_loop_measures_the_same():
    of = workload(torchmetrics.F1Score(task="multiclass", num_classes=3, average="macro"), CLASSES)
    for mine, other in zip(values(trained(of)), values(trained(of, "loop")), strict=True):
        assert mine == pytest.approx(other, abs=1e-6)


def test_its_functions_need_a_direction():
    function = torchmetrics.functional.mean_squared_error
    with pytest.raises(
        InputError, match=r"give metric=thalweg.Metric\(mean_squared_error, higher_is_better=True\), or"
    ):
        _ = workload(function, NUMBERS).metric.maximized
    given = thalweg.Metric(function, higher_is_better=False, vectorized=True)
    runs = [values(trained(workload(metric, NUMBERS))) for metric in (given, "mse")]
    for mine, other in zip(*runs, strict=True):
        assert mine == pytest.approx(other)


def test_an_object_without_a_direction_is_named_as_one():
    with pytest.raises(
        InputError, match=r"give metric=thalweg.Metric\(PearsonCorrCoef\(\), higher_is_better=True\), or"
    ):
        _ = workload(torchmetrics.PearsonCorrCoef(), NUMBERS).metric.maximized


SEVERAL = {
    "a collection": torchmetrics.MetricCollection([torchmetrics.MeanSquaredError(), torchmetrics.MeanAbsoluteError()]),
    "of each class": torchmetrics.Accuracy(task="multiclass", num_classes=3, average=None),
    "a matrix": torchmetrics.ConfusionMatrix(task="multiclass", num_classes=3),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_numbers_are_refused(name):
    metric = thalweg.Metric(SEVERAL[name], higher_is_better=True)
    of = workload(metric, NUMBERS if name == "a collection" else CLASSES)
    with pytest.raises(ReturnValueError, match="must return a number, got"):
        trained(of)
