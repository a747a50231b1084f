"""Metrics by name: which there are, what they are bound to, and what tells them apart in a stored study."""

import copy
import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.workloads.classification import F1, TopK
from thalweg.workloads.content import content
from thalweg.workloads.metric_names import METRICS, metric_named, metric_of
from thalweg.workloads.metrics import Metric
from thalweg.workloads.workload import Workload

UP, DOWN = ("accuracy", "f1", "auroc", "r2"), ("mse", "mae", "rmse", "loss", "perplexity", "bits_per_character")


def workload(metric: Any, loss: Any = F.cross_entropy) -> Workload:
    data = torch.zeros(4, 2), torch.zeros(4).long()
    return Workload(name="w", model=lambda: nn.Linear(2, 3), train=data, validation=data, loss=loss, metric=metric)


def test_directions_and_vectorization() -> None:
    assert {name: metric.maximized for name, metric in METRICS.items()} == {
        **dict.fromkeys(UP, True), **dict.fromkeys(DOWN, False),
    }  # fmt: skip
    assert {name for name, metric in METRICS.items() if not metric.vectorized} == {"f1", "auroc"}
    assert all(name == metric.name for name, metric in METRICS.items())


@pytest.mark.parametrize("k", [2, 5, 10, 137])
def test_top_k(k: int) -> None:
    metric = metric_named(f"top{k}")
    assert (metric.name, metric.function, metric.maximized, metric.vectorized) == (f"top{k}", TopK(k), True, True)


UNKNOWN = {
    "f_1": r"Did you mean f1\?", "top": r"Did you mean top", "top1": r"Did you mean top", "top0": "Did you mean top",
    "top05": r"Did you mean top5", "top-5": r"Did you mean top5", "Top5": r"Did you mean top5",
    "AUROC": r"Did you mean auroc or accuracy\?", "preplexity": r"Did you mean perplexity\?",
    "dice": r"Known: accuracy, auroc, bits_per_character, f1, loss, mae, mse, perplexity, r2, rmse, topK\.",
    "top5\n": "Did you mean top5",
}  # fmt: skip


@pytest.mark.parametrize(("name", "message"), UNKNOWN.items(), ids=repr)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^Unknown metric .*\. {message}"):
        metric_named(name)


@pytest.mark.parametrize("name", ["accuracy", "top2", "f1", "auroc"])
def test_they_read_outputs_as_the_loss_does(name: str) -> None:
    metric = metric_of(name, nn.CrossEntropyLoss(ignore_index=1))
    assert metric is not None
    reading = getattr(metric.function, "reading", metric.function)
    assert (reading.second, reading.ignored, reading.threshold) == (True, 1, None)
    again = metric_of(metric, nn.BCEWithLogitsLoss())  # as a replaced loss of a workload
    assert again is not None
    assert getattr(again.function, "reading", again.function).threshold == 0.0
    assert (again.name, again.higher_is_better, again.vectorized) == (name, True, metric.vectorized)


def test_one_of_ones_own_keeps_its_name_and_direction() -> None:
    metric = workload(Metric(F1(), "macro F1", False)).metric
    assert (metric.name, metric.maximized) == ("macro F1", False)
    assert workload(metric_named("f1")).metric == workload("f1").metric


def test_stored_studies_tell_them_apart() -> None:
    loss = F.cross_entropy
    names = [*METRICS, "top2", "top3"]
    hashes = [content(workload(name, loss), "")["loss"] for name in names]
    assert len({*hashes}) == len(names)
    assert [content(workload(name, loss), "")["loss"] for name in names] == hashes
    assert content(workload("f1", nn.CrossEntropyLoss(ignore_index=1)), "") != content(workload("f1", loss), "")
    renamed = [Metric(metric_named(name).function, "same", True) for name in ("top2", "top3", "f1", "auroc", "r2")]
    assert len({content(workload(metric, loss), "")["loss"] for metric in renamed}) == len(renamed)


def test_a_wrapper_of_a_built_in_metric_is_the_users() -> None:
    """It may keep state, and so runs behind the lock, though `wraps` gives it the module of what it wraps."""

    @functools.wraps(METRICS["mse"].function)
    def wrapped(outputs: Tensor, targets: Tensor) -> Tensor:
        return METRICS["mse"].function(outputs, targets)

    assert Metric(wrapped, higher_is_better=False).fresh() is not wrapped
    for name in METRICS:
        assert METRICS[name].fresh() is METRICS[name].function


class Running(nn.Module):
    """In the manner of torchmetrics: a module with state, called with (preds, target), which says its direction."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.correct, self.total = torch.tensor(0), torch.tensor(0)

    def reset(self) -> None:
        self.correct, self.total = torch.tensor(0), torch.tensor(0)

    def update(self, preds: Tensor, target: Tensor) -> None:
        self.correct = self.correct + (preds.argmax(1) == target).sum()
        self.total = self.total + target.numel()

    def compute(self) -> Tensor:
        return self.correct / self.total

    def forward(self, preds: Tensor, target: Tensor) -> Tensor:
        self.update(preds, target)
        return self.compute()


def test_an_object_like_torchmetrics() -> None:
    given = Running()
    given(torch.eye(3), torch.zeros(3).long())
    metric = workload(given).metric
    assert (metric.name, metric.maximized, metric.vectorized) == ("Running", True, False)
    outputs, targets = torch.eye(4), torch.tensor([0, 1, 2, 0])
    assert [float(metric.fresh()(outputs, targets)) for _ in range(3)] == [0.75] * 3
    assert int(given.total) == int(copy.deepcopy(given).total) == 3
