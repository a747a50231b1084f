"""The loss of distillation: by hand in float64, the size of its gradient, samples without labels, refusals."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import thalweg
from thalweg.regularization.distillation import UNLABELLED, loss, soft_loss

RANDOM = np.random.default_rng(3)
STUDENT, TEACHER = RANDOM.normal(size=(2, 7, 4)) * 3
LABELS = np.array([0, 3, 1, 1, 2, 0, 3])


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def by_hand(student: Any, teacher: Any, labels: Any, t: float, w: float) -> float:
    """The loss as Hinton et al. 2015 write it, sample by sample."""
    total = 0.0
    for s, v, label in zip(student, teacher, labels, strict=True):
        p, q = softmax(v / t), softmax(s / t)
        total += w * t**2 * sum(p[k] * np.log(p[k] / q[k]) for k in range(len(p)))
        if label != UNLABELLED:
            total -= (1 - w) * np.log(softmax(s)[label])
    return float(total / len(labels))


@pytest.mark.parametrize(("t", "w"), [(1.0, 0.5), (20.0, 0.9), (4.0, 0.0), (0.5, 1.0)])
def test_by_hand(t: float, w: float) -> None:
    student, teacher, labels = torch.tensor(STUDENT), torch.tensor(TEACHER), torch.tensor(LABELS)
    found = loss(student, teacher, labels, temperature=t, weight=w)
    assert float(found) == pytest.approx(by_hand(STUDENT, TEACHER, LABELS, t, w), rel=1e-12)


def test_as_torchs_divergence() -> None:
    """Keras's definition, too: T² times the divergence of both at T, and 1 - w is its `student_loss_weight`."""
    student, teacher, labels = torch.tensor(STUDENT), torch.tensor(TEACHER), torch.tensor(LABELS)
    soft = 9 * F.kl_div((student / 3).log_softmax(1), (teacher / 3).softmax(1), reduction="batchmean")
    expected = 0.7 * soft + 0.3 * F.cross_entropy(student, labels)
    assert torch.allclose(loss(student, teacher, labels, temperature=3.0, weight=0.7), expected, rtol=1e-12)


def test_the_gradient_keeps_its_size() -> None:
    """At a high temperature it is (student - teacher) / classes for logits of mean 0: equation 4 of the paper."""
    centred = [torch.tensor(z - z.mean(1, keepdims=True)) for z in (STUDENT, TEACHER)]
    student = centred[0].requires_grad_()
    for t in (1e3, 1e5):
        (gradient,) = torch.autograd.grad(soft_loss(student, centred[1], t), student)
        expected = (student - centred[1]).detach() / 4 / 7
        assert torch.allclose(gradient, expected, rtol=0, atol=20 / t)


def test_no_gradient_flows_into_the_teacher() -> None:
    student, teacher = (torch.tensor(z, requires_grad=True) for z in (STUDENT, TEACHER))
    loss(student, teacher, temperature=2.0, weight=1.0).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_samples_without_labels_have_the_teacher_alone() -> None:
    labels = LABELS.copy()
    labels[2:] = UNLABELLED
    student, teacher = torch.tensor(STUDENT), torch.tensor(TEACHER)
    found = loss(student, teacher, torch.tensor(labels), temperature=4.0, weight=0.6)
    assert float(found) == pytest.approx(by_hand(STUDENT, TEACHER, labels, 4.0, 0.6), rel=1e-12)
    none = torch.full((7,), UNLABELLED)
    both = [loss(student, teacher, y, temperature=4.0, weight=0.6) for y in (none, None)]
    assert torch.equal(*both)
    assert torch.isfinite(both[0])


def test_a_student_that_says_the_same_has_no_loss() -> None:
    teacher = torch.tensor(TEACHER)
    assert float(loss(teacher + 5, teacher, temperature=7.0, weight=1.0)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"temperature": 0.0}, "temperature must be a number in"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"weight": 1.1}, r"weight must be a number in \[0, 1\], got 1.1"),
        ({"teacher_logits": torch.zeros(7, 3)}, r"in one shape, got \[7, 4\] and \[7, 3\]"),
        ({"student_logits": torch.zeros(7), "teacher_logits": torch.zeros(7)}, r"logits \[samples, classes\]"),
    ],
)
def test_refused(given: dict[str, Any], sentence: str) -> None:
    usual = {"student_logits": torch.tensor(STUDENT), "teacher_logits": torch.tensor(TEACHER)}
    with pytest.raises(thalweg.InputError, match=sentence):
        thalweg.distillation.loss(**{**usual, **given})
