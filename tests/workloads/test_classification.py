"""Top-K accuracy, F1 and AUROC against scikit-learn, in every layout of outputs that torch's losses take."""

import functools
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as skm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.errors import InputError, ReturnValueError
from thalweg.workloads.accuracy import Accuracy
from thalweg.workloads.classification import F1, Auroc, TopK, accuracy, reading_of

LOGIT, PROBABILITY = Accuracy.under(nn.BCEWithLogitsLoss()), Accuracy.under(F.binary_cross_entropy)
SECOND = Accuracy.under(F.cross_entropy)
WITHOUT_2 = Accuracy.under(nn.CrossEntropyLoss(ignore_index=2))


def drawn(*shape: int, seed: int = 0, ties: bool = False) -> Tensor:
    """Normal numbers in float64; with ties, only -1, 0 and 1."""
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.clamp(-1.2, 1.2).round() if ties else values


def labels(classes: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.randint(0, classes, shape, generator=torch.Generator().manual_seed(seed))


def close(found: Tensor, expected: float) -> bool:
    return found.dtype is torch.float64 and found.item() == pytest.approx(expected, abs=1e-12)


def flat(outputs: Tensor, targets: Tensor, ignored: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Of outputs `[n, classes, …]`: scores `[places, classes]` and labels `[places]` that count."""
    scores, truth = outputs.movedim(1, -1).flatten(0, -2).numpy(), targets.flatten().numpy()
    return scores[truth != ignored], truth[truth != ignored]


LAYOUTS = {
    "[n, c]": (SECOND, (60, 4), (60,), -100),
    "[n, c, t]": (SECOND, (20, 4, 5), (20, 5), -100),
    "[n, c, h, w], as many places as classes": (SECOND, (9, 4, 4, 4), (9, 4, 4), -100),
    "a class that does not count": (WITHOUT_2, (30, 4, 5), (30, 5), 2),
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("reading", "outputs", "targets", "ignored"), LAYOUTS.values(), ids=LAYOUTS)
class TestSeveralClasses:
    def test_top_k(self, reading: Accuracy, outputs: Any, targets: Any, ignored: int, *, ties: bool) -> None:
        o, t = drawn(*outputs, ties=ties), labels(4, *targets)
        t.view(-1)[::7] = ignored
        scores, truth = flat(o, t, ignored)
        for k in (2, 3):  # scikit-learn ranks the highest of tied classes first: turned around, the lowest
            expected = skm.top_k_accuracy_score(3 - truth, scores[:, ::-1], k=k, labels=range(4))
            assert close(TopK(k, reading)(o, t), expected)
            assert 0 < expected < 1

    def test_f1(self, reading: Accuracy, outputs: Any, targets: Any, ignored: int, *, ties: bool) -> None:
        o, t = drawn(*outputs, ties=ties), labels(4, *targets)
        t.view(-1)[::7] = ignored
        scores, truth = flat(o, t, ignored)
        assert close(F1(reading)(o, t), skm.f1_score(truth, scores.argmax(1), average="macro"))

    def test_auroc(self, reading: Accuracy, outputs: Any, targets: Any, ignored: int, *, ties: bool) -> None:
        o, t = drawn(*outputs, ties=ties), labels(4, *targets)
        t.view(-1)[::7] = ignored
        scores, truth = flat(o, t, ignored)
        shares = torch.from_numpy(scores).softmax(1).numpy().round(14)  # of equal scores in another order, too
        each = [skm.roc_auc_score(truth == c, shares[:, c]) for c in np.unique(truth)]
        assert close(Auroc(reading)(o, t), float(np.mean(each)))
        if ignored < 0:
            assert np.mean(each) == pytest.approx(skm.roc_auc_score(truth, shares, multi_class="ovr"), abs=1e-12)


def test_classes_that_occur_nowhere_are_left_out() -> None:
    outputs, targets = drawn(40, 6), labels(3, 40) * 2
    outputs[:, [1, 5]] = -9.0  # class 3 is answered, and never right
    answers = outputs.argmax(1)
    assert set(answers.tolist()) == {0, 2, 3, 4}
    assert close(F1(SECOND)(outputs, targets), skm.f1_score(targets, answers, average="macro"))
    shares = outputs.softmax(1)
    each = [skm.roc_auc_score(targets == c, shares[:, c]) for c in (0, 2, 4)]
    assert close(Auroc(SECOND)(outputs, targets), float(np.mean(each)))


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_of_two_outputs(*, ties: bool) -> None:
    outputs, targets = drawn(50, 2, ties=ties), labels(2, 50)
    expected = skm.roc_auc_score(targets, outputs[:, 1] - outputs[:, 0])
    assert close(Auroc(SECOND)(outputs, targets), expected)
    far = outputs * 1000  # where probabilities are exactly 0 and 1
    assert close(Auroc(SECOND)(far, targets), expected)


def test_top_1_would_be_accuracy() -> None:
    outputs, targets = drawn(200, 5, ties=True), labels(5, 200)
    assert TopK(1, SECOND)(outputs, targets).item() == accuracy(outputs, targets).item()


def test_an_output_that_is_nan_is_no_hit() -> None:
    outputs, targets = drawn(6, 4), labels(4, 6)
    assert TopK(3, SECOND)(outputs * torch.nan, targets).item() == 0.0
    one = outputs.clone()
    one[0, targets[0]] = torch.nan
    assert TopK(3, SECOND)(one[:1], targets[:1]).item() == 0.0
    assert Auroc(SECOND)(one, targets).isnan()
    assert Auroc(LOGIT)(one[:, 0] * torch.nan, torch.tensor([0, 1, 0, 1, 1, 0])).isnan()


SHAPES = [((80,), (80,)), ((80, 1), (80,)), ((80, 1), (80, 1)), ((8, 10, 1), (8, 10)), ((5, 1, 4, 4), (5, 1, 4, 4))]


@pytest.mark.parametrize(("outputs", "targets"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
@pytest.mark.parametrize("ties", [False, True])
def test_one_output(outputs: Any, targets: Any, dtype: torch.dtype, *, ties: bool) -> None:
    o, t = drawn(*outputs, ties=ties), labels(2, *targets).to(dtype)
    truth, scores = t.flatten().int().numpy(), o.flatten().numpy()
    assert close(F1(LOGIT)(o, t), skm.f1_score(truth, scores > 0))
    assert close(F1(PROBABILITY)(o.sigmoid(), t), skm.f1_score(truth, scores > 0))
    for reading, of in ((LOGIT, o), (PROBABILITY, o.sigmoid())):
        assert close(Auroc(reading)(of, t), skm.roc_auc_score(truth, of.flatten().numpy()))


def test_f1_without_any_of_class_1() -> None:
    nothing = F1(LOGIT)(torch.full((4,), -1.0), torch.zeros(4))
    assert nothing.item() == skm.f1_score([0] * 4, [0] * 4, zero_division=0.0) == 0.0


REFUSED = {
    "K of all classes": (TopK(3, SECOND), (6, 3), (6,), r"^top3 .* got outputs of 3, .* give a K from 2 to 2, or"),
    "two classes": (TopK(2, SECOND), (6, 2), (6,), r"^top2 .* got outputs of 2.*: give metric='accuracy'\.$"),
    "top-K of one logit": (TopK(2, LOGIT), (6,), (6,), r"^top2 is of several classes, and the loss is of two"),
    "one output": (F1(), (6,), (6,), r"^f1 takes the scores of several classes, and the outputs are \[6\]"),
    "one column": (Auroc(), (6, 1), (6,), r"^auroc takes the scores of several classes, .* \[6, 1\]"),
    "places": (F1(SECOND), (6, 3, 4), (6,), r"^f1 compares .* \[6, 4\] and \[6\]"),
    "logits that would broadcast": (F1(LOGIT), (6,), (6, 1), r"^f1 compares .* \[6\] and \[6, 1\]"),
    "logits of two": (Auroc(LOGIT), (6, 2), (6,), r"^auroc compares .* \[6, 2\] and \[6\]"),
}  # fmt: skip


@pytest.mark.parametrize(("metric", "outputs", "targets", "message"), REFUSED.values(), ids=REFUSED)
def test_shapes_refused(metric: Any, outputs: Any, targets: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric(drawn(*outputs), torch.arange(torch.Size(targets).numel()).reshape(targets) % 2)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_that_are_no_classes(label: int) -> None:
    targets = torch.tensor([0, 1, 2, label])
    for metric in (F1(SECOND), Auroc(SECOND)):
        with pytest.raises(InputError, match=rf"takes labels from 0 to 2, one for each output, got {label}: number"):
            metric(drawn(4, 3), targets)
    kept = TopK(2, SECOND)(drawn(4, 3), targets).item() * 4  # as accuracy: such a label is never right
    assert kept == TopK(2, SECOND)(drawn(4, 3)[:3], targets[:3]).item() * 3


def test_auroc_of_one_class() -> None:
    cases = [
        (Auroc(LOGIT), drawn(5), torch.ones(5)),
        (Auroc(SECOND), drawn(5, 3), torch.ones(5).long()),
        (Auroc(WITHOUT_2), drawn(5, 3), torch.tensor([2, 1, 2, 1, 2])),
    ]
    for metric, outputs, targets in cases:
        with pytest.raises(ReturnValueError, match=r"^the split holds one class only, 1, and auroc compares samples"):
            metric(outputs, targets)
    with pytest.raises(ReturnValueError, match=r"^test holds one class only, 0, and"):
        Auroc(LOGIT).require_targets("test", torch.zeros(3))


LOSSES = [F.cross_entropy, nn.CrossEntropyLoss(ignore_index=0), functools.partial(F.nll_loss, ignore_index=3)]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("ties", [False, True])
def test_top_k_of_members_at_once(loss: Any, *, ties: bool) -> None:
    metric = TopK(2, Accuracy.under(loss))
    outputs, targets = drawn(5, 12, 4, 3, ties=ties), labels(4, 12, 3)
    targets[0] = -100 if loss is F.cross_entropy else targets[0]
    together = torch.vmap(metric, in_dims=(0, None))(outputs, targets)
    assert together.tolist() == [metric(of_one, targets).item() for of_one in outputs]


def test_what_reads_classes() -> None:
    assert reading_of(TopK(2, WITHOUT_2)) == reading_of(F1(WITHOUT_2)) == reading_of(Auroc(WITHOUT_2)) == WITHOUT_2
    assert reading_of(accuracy) is accuracy
    assert reading_of(lambda outputs, targets: 0) is None
