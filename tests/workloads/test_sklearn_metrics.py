"""Functions of scikit-learn as metrics: what each is called with, its direction, and which are refused."""

import functools
import inspect
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as skm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.workloads.accuracy import Accuracy
from thalweg.workloads.content import content
from thalweg.workloads.metric_names import metric_of
from thalweg.workloads.metrics import Metric, direction, name_of
from thalweg.workloads.sklearn_metrics import SklearnMetric
from thalweg.workloads.workload import Workload

G = torch.Generator().manual_seed(0)
SEVERAL, CLASSES = torch.randn(60, 4, generator=G), torch.randint(0, 4, (60,), generator=G)
PLACES, TAGS = torch.randn(20, 4, 3, generator=G), torch.randint(0, 4, (20, 3), generator=G)
LOGITS, BITS = torch.randn(60, 1, generator=G), torch.randint(0, 2, (60, 1), generator=G).float()
NUMBERS, TRUE = torch.rand(60, 2, generator=G) + 0.1, torch.rand(60, 2, generator=G) + 0.1
BCE = nn.BCEWithLogitsLoss()


def called(function: Any, loss: Any, outputs: Tensor, targets: Tensor) -> float:
    metric = metric_of(function, loss)
    assert metric is not None
    assert not metric.vectorized
    return float(metric.fresh()(outputs, targets))


def exactly(value: float) -> Any:
    return pytest.approx(value, abs=1e-12)


MACRO = [functools.partial(f, average="macro") for f in (skm.f1_score, skm.precision_score, skm.recall_score)]
OF_LABELS = [skm.accuracy_score, skm.balanced_accuracy_score, skm.zero_one_loss, skm.hamming_loss,
             skm.adjusted_rand_score, *MACRO]  # fmt: skip


@pytest.mark.parametrize("function", OF_LABELS, ids=name_of)
def test_labels(function: Any) -> None:
    t = CLASSES.clone()
    t[::5] = -100
    counted = t >= 0
    answers = SEVERAL.argmax(1).numpy()
    assert called(function, F.cross_entropy, SEVERAL, CLASSES) == exactly(function(CLASSES.numpy(), answers))
    expected = function(t[counted].numpy(), answers[counted])
    assert called(function, F.cross_entropy, SEVERAL, t) == exactly(expected)
    expected = function(TAGS.flatten().numpy(), PLACES.argmax(1).flatten().numpy())
    assert called(function, F.cross_entropy, PLACES, TAGS) == exactly(expected)


@pytest.mark.parametrize("function", [skm.f1_score, skm.accuracy_score, functools.partial(skm.fbeta_score, beta=2.0)])
def test_labels_of_one_logit(function: Any) -> None:
    expected = function(BITS.flatten().numpy(), (LOGITS > 0).flatten().int().numpy())
    assert called(function, BCE, LOGITS, BITS) == exactly(expected)
    assert called(function, F.binary_cross_entropy, LOGITS.sigmoid(), BITS) == exactly(expected)
    assert called(function, BCE, LOGITS, BITS.flatten().bool()) == exactly(expected)


def test_several_labels_a_sample() -> None:
    outputs, targets = SEVERAL[:, :3], (PLACES.flatten()[:180].reshape(60, 3) > 0).float()
    macro = functools.partial(skm.f1_score, average="macro")
    assert called(macro, BCE, outputs, targets) == exactly(macro(targets.numpy(), (outputs > 0).int().numpy()))
    ranking = skm.label_ranking_average_precision_score
    assert called(ranking, BCE, outputs, targets) == exactly(ranking(targets.numpy(), outputs.numpy()))


def test_what_is_not_symmetric_gets_targets_first() -> None:
    precision, recall = (called(f, BCE, LOGITS, BITS) for f in (skm.precision_score, skm.recall_score))
    answers = (LOGITS > 0).flatten()
    right = float((BITS.flatten() > 0.5)[answers].double().mean())
    assert precision == exactly(right)
    assert precision != recall


OF_SCORES = [
    functools.partial(skm.roc_auc_score, multi_class="ovr"), skm.average_precision_score, skm.log_loss,
    functools.partial(skm.top_k_accuracy_score, k=2), skm.d2_log_loss_score,
]  # fmt: skip


@pytest.mark.parametrize("function", OF_SCORES, ids=name_of)
def test_probabilities_of_several_classes(function: Any) -> None:
    shares = SEVERAL.double().softmax(1).numpy()
    assert called(function, F.cross_entropy, SEVERAL, CLASSES) == exactly(function(CLASSES.numpy(), shares))


@pytest.mark.parametrize("function", [skm.log_loss, functools.partial(skm.top_k_accuracy_score, k=2)], ids=name_of)
def test_a_class_that_a_split_lacks(function: Any) -> None:
    few = CLASSES % 3
    shares = SEVERAL.double().softmax(1).numpy()
    expected = function(few.numpy(), shares, labels=range(4))
    assert called(function, F.cross_entropy, SEVERAL, few) == exactly(expected)


@pytest.mark.parametrize(
    "function", [skm.roc_auc_score, skm.average_precision_score, skm.log_loss, skm.brier_score_loss]
)
def test_probabilities_of_two_classes(function: Any) -> None:
    two, binary = SEVERAL[:, :2], BITS.flatten().long()
    expected = function(binary.numpy(), two.double().softmax(1)[:, 1].numpy())
    assert called(function, F.cross_entropy, two, binary) == exactly(expected)


@pytest.mark.parametrize("function", [skm.roc_auc_score, skm.average_precision_score])
def test_scores_of_one_logit(function: Any) -> None:
    expected = function(BITS.flatten().numpy(), LOGITS.flatten().numpy())
    assert called(function, BCE, LOGITS, BITS) == exactly(expected)
    own = called(function, lambda o, t: F.binary_cross_entropy_with_logits(o, t[:, None]), LOGITS, BITS.flatten())
    assert own == exactly(expected)


@pytest.mark.parametrize("function", [skm.log_loss, skm.brier_score_loss, skm.d2_log_loss_score])
def test_probabilities_of_one_logit(function: Any) -> None:
    shares = LOGITS.double().sigmoid()
    expected = function(BITS.flatten().numpy(), shares.flatten().numpy())
    assert called(function, BCE, LOGITS, BITS) == exactly(expected)
    assert called(function, nn.BCELoss(), shares, BITS) == exactly(expected)


def test_decisions() -> None:
    truth = np.where(BITS.flatten().numpy() > 0, 1, -1)
    by_hand = np.maximum(1 - truth * LOGITS.double().flatten().numpy(), 0).mean()
    assert called(skm.hinge_loss, BCE, LOGITS, BITS) == exactly(by_hand)
    assert called(skm.hinge_loss, nn.BCELoss(), LOGITS.double().sigmoid(), BITS) == exactly(by_hand)
    two = torch.cat([-LOGITS, LOGITS], 1) / 2
    assert called(skm.hinge_loss, F.cross_entropy, two, BITS.flatten().long()) == pytest.approx(by_hand, rel=1e-6)
    expected = skm.hinge_loss(CLASSES.numpy(), SEVERAL.double().numpy())
    assert called(skm.hinge_loss, F.cross_entropy, SEVERAL, CLASSES) == exactly(expected)


OF_NUMBERS = [
    skm.r2_score, skm.mean_squared_error, skm.mean_absolute_percentage_error, skm.explained_variance_score,
    functools.partial(skm.mean_pinball_loss, alpha=0.9), skm.median_absolute_error,
]  # fmt: skip


@pytest.mark.parametrize("function", OF_NUMBERS, ids=name_of)
def test_numbers(function: Any) -> None:
    expected = function(TRUE.double().numpy(), NUMBERS.double().numpy())
    assert called(function, F.mse_loss, NUMBERS, TRUE) == exactly(expected)
    one = function(TRUE[:, 0].double().numpy(), NUMBERS[:, 0].double().numpy())
    assert called(function, lambda o, t: F.mse_loss(o[:, 0], t), NUMBERS[:, :1], TRUE[:, 0]) == exactly(one)


HIGHER = [
    skm.f1_score,
    skm.r2_score,
    skm.roc_auc_score,
    skm.adjusted_rand_score,
    functools.partial(skm.d2_tweedie_score),
]
LOWER = [skm.max_error, skm.hinge_loss, skm.log_loss, skm.mean_poisson_deviance, skm.brier_score_loss,
         functools.partial(skm.mean_tweedie_deviance, power=1), skm.coverage_error]  # fmt: skip


def test_directions() -> None:
    assert [Metric(f).higher_is_better for f in HIGHER] == [True] * len(HIGHER)
    assert [Metric(f).higher_is_better for f in LOWER] == [False] * len(LOWER)
    assert Metric(skm.f1_score, higher_is_better=False).maximized is False
    assert direction(SklearnMetric(skm.f1_score)) is True


@pytest.mark.parametrize("function", [skm.matthews_corrcoef, functools.partial(skm.matthews_corrcoef)])
def test_a_direction_that_no_name_says_is_asked_for(function: Any) -> None:
    metric = metric_of(function, F.cross_entropy)
    assert metric is not None
    assert metric.name == "matthews_corrcoef"
    with pytest.raises(InputError, match=r"thalweg\.Metric\(matthews_corrcoef, higher_is_better=True\), or =False"):
        _ = metric.maximized
    said = Metric(function, higher_is_better=True)
    expected = skm.matthews_corrcoef(CLASSES.numpy(), SEVERAL.argmax(1).numpy())
    assert called(said, F.cross_entropy, SEVERAL, CLASSES) == exactly(expected)


REFUSED = {
    "of clusters": (skm.silhouette_score, r"^sklearn\.metrics\.silhouette_score takes \(X, labels\), not targets and"),
    "of a curve": (skm.auc, r"takes \(x, y\), not targets and answers"),
    "of nothing": (skm.get_scorer_names, r"takes \(\), not targets and answers"),
    "weights": (
        functools.partial(skm.f1_score, sample_weight=np.ones(3)),
        r"^A partial of sklearn\.metrics\.f1_score may not bind sample_weight",
    ),
    "targets": (functools.partial(skm.f1_score, np.ones(3)), "may not bind y_true, which differs from split to split"),
    "answers": (functools.partial(skm.f1_score, y_pred=np.ones(3)), "may not bind y_pred"),
    "a class": (skm.ConfusionMatrixDisplay, "ConfusionMatrixDisplay is a class"),
}  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(function: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Metric(function, higher_is_better=True)


def test_arrays_are_of_one_model() -> None:
    with pytest.raises(InputError, match=r"^f1_score takes arrays, and .*: leave out vectorized=True\.$"):
        Metric(skm.f1_score, vectorized=True)


CALLS = {
    "labels of one output under a loss of one's own": (
        skm.f1_score, lambda o, t: o.sum(), LOGITS, BITS.long().flatten(), "f1_score takes the scores of several",
    ),
    "labels that are no classes": (
        skm.f1_score, F.cross_entropy, SEVERAL, CLASSES + 1, "f1_score takes labels from 0 to 3, .* got 4",
    ),
    "several outputs": (
        skm.r2_score, F.mse_loss, (NUMBERS, NUMBERS), TRUE, "r2_score takes one tensor of outputs, .* returns a tuple",
    ),
    "logits that would broadcast": (
        skm.f1_score, BCE, LOGITS.flatten(), BITS, r"f1_score compares .* \[60\] and \[60, 1\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("function", "loss", "outputs", "targets", "message"), CALLS.values(), ids=CALLS)
def test_calls_refused(function: Any, loss: Any, outputs: Any, targets: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        called(function, loss, outputs, targets)


def test_what_each_takes_is_known_of_all_that_compare() -> None:
    """Of every function of `sklearn.metrics` that takes `y_true` first: a new kind of answers would fail here."""
    found = {}
    for name in skm.__all__:
        function = getattr(skm, name)
        if inspect.isfunction(function) and next(iter(inspect.signature(function).parameters), "") == "y_true":
            found[name] = SklearnMetric(function).taken
    assert found["mean_squared_error"] == found["d2_absolute_error_score"] == "numbers"
    assert found["f1_score"] == found["zero_one_loss"] == "labels"
    assert found["roc_auc_score"] == "scores"
    assert found["log_loss"] == found["d2_log_loss_score"] == found["brier_score_loss"] == "probabilities"
    assert found["hinge_loss"] == "decisions"


def test_older_versions_call_probabilities_answers() -> None:
    def log_loss(y_true: Any, y_pred: Any, *, labels: Any = None) -> float:
        return float(skm.log_loss(y_true, y_pred, labels=labels))

    metric = SklearnMetric(log_loss, Accuracy.under(F.cross_entropy))
    expected = skm.log_loss(CLASSES.numpy(), SEVERAL.double().softmax(1).numpy())
    assert metric(SEVERAL, CLASSES) == exactly(expected)


def test_stored_studies_tell_them_apart() -> None:
    data = SEVERAL, CLASSES
    given = [skm.f1_score, MACRO[0], functools.partial(skm.f1_score, average="micro"), skm.recall_score, "f1"]
    hashes = set()
    for metric in given:
        renamed = metric if isinstance(metric, str) else Metric(metric, "f1", True)
        workload = Workload(name="w", model=lambda: nn.Linear(4, 4), train=data, validation=data, metric=renamed)
        hashes.add(content(workload, "")["loss"])
    assert len(hashes) == len(given)
