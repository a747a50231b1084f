"""Metrics by name, and of scikit-learn, in whole comparisons; targets that leave nothing to measure are refused."""

import functools
from typing import Any

import pytest
import sklearn.metrics as skm
import torch
import torch.nn.functional as F
from torch import nn

import thalweg
from problems import points, tiny
from scope import few
from thalweg.population.planning.labels import computable_head
from thalweg.population.training.pieces import piecewise

QUICK: dict[str, Any] = {
    "optimizers": ["sgd", "adam"], "learning_rates": [1e-3, 1e-1], "seeds": 2, "confirm_seeds": 2, "progress": False,
}  # fmt: skip
X, Y = points(330, 1, torch.float32)
SIGNS = (X[:, :1] > 0).float()
MACRO = functools.partial(skm.f1_score, average="macro")


def compared(workload: thalweg.Workload, **options: Any) -> thalweg.Result:
    return thalweg.compare(workload, **(QUICK | options))


@pytest.fixture(scope="module")
def by_name() -> thalweg.Result:
    return compared(tiny(metric="f1", epochs=2))


def test_f1(by_name: thalweg.Result) -> None:
    assert (by_name.study.metric, by_name.study.higher_is_better) == ("f1", True)
    assert {row.learning_rate for row in by_name.rows} == {1e-1}
    assert all(0 < run.validation_metric <= 1 for run in by_name.runs)  # type: ignore[operator]
    assert by_name.verdict.startswith(f"Use {by_name.rows[0].contender} at learning rate 0.1: test F1 0.")


def test_scikit_learns_function_gives_the_same(by_name: thalweg.Result) -> None:
    other = compared(tiny(metric=MACRO, epochs=2))
    assert (other.study.metric, other.study.higher_is_better) == ("f1_score", True)
    assert other.study.content["loss"] != by_name.study.content["loss"]
    for a, b in zip(by_name.runs, other.runs, strict=True):
        assert (a.contender, a.seed, a.learning_rate) == (b.contender, b.seed, b.learning_rate)
        for split in ("train_metric", "validation_metric", "test_metric"):
            assert getattr(a, split) == pytest.approx(getattr(b, split), abs=1e-12)


def test_perplexity_is_that_of_the_loss() -> None:
    """In chunks: the exponential of the mean, not the mean of the exponentials."""
    workload = tiny(metric="perplexity", epochs=2, validation=points(900, 2, torch.float32))
    result = compared(workload, optimizers=["sgd"], confirm_seeds=0)
    assert piecewise(workload) is not None
    assert not result.study.higher_is_better
    for run in result.runs:
        for point in run.curve:
            assert point.validation_metric == pytest.approx(torch.tensor(point.validation_loss).exp().item(), rel=1e-5)


@pytest.mark.parametrize("metric", few(["rmse", skm.r2_score, "r2", "loss", skm.mean_squared_error], 2))
def test_numbers(metric: Any) -> None:
    data = {"train": (X[:200], X[:200, :2]), "validation": (X[200:], X[200:, :2]), "test": None, "loss": F.mse_loss}
    workload = tiny(model=lambda: nn.Linear(6, 2), metric=metric, **data)
    result = compared(workload, optimizers=["sgd"], confirm_seeds=0)
    assert result.rows[0].learning_rate == 1e-1


@pytest.mark.parametrize("metric", few(["auroc", skm.f1_score, "f1", skm.roc_auc_score, skm.log_loss], 2))
def test_one_logit(metric: Any) -> None:
    data = {"train": (X[:200], SIGNS[:200]), "validation": (X[200:], SIGNS[200:]), "test": None}
    loss = F.binary_cross_entropy_with_logits
    workload = tiny(model=lambda: nn.Linear(6, 1), metric=metric, loss=loss, target=None, **data)
    result = compared(workload, optimizers=["sgd"], confirm_seeds=0)
    assert result.rows[0].learning_rate == 1e-1


def test_top_k_is_printed_in_percent() -> None:
    result = compared(tiny(metric="top2"), optimizers=["sgd"])
    assert "%" in result.verdict
    assert all(run.validation_metric > 0.9 for run in result.runs if run.learning_rate == 1e-1)  # type: ignore[operator]


CONSTANT = torch.full((40,), 1)
REFUSED = {
    "one class to test": ({"metric": "auroc", "test": (X[:40], CONSTANT)}, "^test holds one class only, 1, and auroc"),
    "one to validate": ({"metric": "auroc", "validation": (X[:40], CONSTANT)}, "^validation holds one class only, 1,"),
    "constant": (
        {"metric": "r2", "loss": F.mse_loss, "model": lambda: nn.Linear(6, 1), "train": (X, X[:, :1]),
         "validation": (X, X[:, :1]), "test": (X[:40], CONSTANT[:, None].float())}, "^test: r2 compares .* y is 1 in",
    ),
    "K of all classes": ({"metric": "top3"}, "^top3 is of more than 3 classes, got outputs of 3"),
    "f1 of one output": (
        {"metric": "f1", "model": lambda: nn.Linear(6, 1), "loss": lambda o, t: (o[:, 0] - t).square().mean()},
        r"^f1 takes the largest of several outputs, .* give metric=thalweg\.Metric\(f, higher_is_better=True\), and",
    ),
    "labels of scikit-learn": (
        {"metric": skm.f1_score, "model": lambda: nn.Linear(6, 1), "loss": lambda o, t: (o[:, 0] - t).square().mean()},
        "^f1_score takes the largest of several outputs",
    ),
    "soft labels": (
        {"metric": "auroc", "model": lambda: nn.Linear(6, 1), "loss": F.binary_cross_entropy_with_logits,
         "train": (X, SIGNS * 0.8 + 0.1), "validation": (X, SIGNS), "test": None},
        "^train: auroc under binary cross entropy compares labels of 0 and 1",
    ),
    "scikit-learn's own refusal": ({"metric": skm.f1_score}, "Target is multiclass but average='binary'"),
}  # fmt: skip


@pytest.mark.usefixtures("nothing_trains")
@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_before_anything_trains(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(thalweg.InputError, match=message):
        compared(tiny(**changes))


def test_a_sorted_split_is_measured_as_far_as_it_takes() -> None:
    """A large model sees the least of it that holds two classes."""
    order = Y.argsort()
    workload = tiny(metric="auroc", validation=(X[order], Y[order]))
    ones = int((Y == 0).sum())
    assert ones > 32
    seen = len(computable_head(workload))
    assert ones < seen < 2 * ones + 16
    assert len(computable_head(tiny(metric="f1", validation=(X[order], Y[order])))) == workload.batch_size
