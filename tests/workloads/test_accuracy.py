"""Accuracy as the loss reads outputs and targets, against counting by hand."""

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.workloads.accuracy import Accuracy


def by_hand(outputs: Tensor, targets: Tensor, ignored: int | None) -> float:
    """outputs [places, classes], targets [places]."""
    right = [int(max(range(len(o)), key=o.__getitem__) == t) for o, t in zip(outputs.tolist(), targets.tolist(), strict=True) if t != ignored]  # fmt: skip  # noqa: E501
    return sum(right) / len(right)


class Wrapped(nn.Module):
    """A loss around torch's, which says what it passes over."""

    def __init__(self, ignore_index: int) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.transpose(1, 2), targets, ignore_index=self.ignore_index)


LOSSES = {
    "torch's label": (F.cross_entropy, -100),
    "a lambda": (lambda o, t: F.cross_entropy(o, t), -100),
    "a module": (nn.CrossEntropyLoss(), -100),
    "a module's own label": (nn.CrossEntropyLoss(ignore_index=0), 0),
    "a module's own label, beyond the classes": (nn.NLLLoss(ignore_index=255), 255),
    "a bound argument": (functools.partial(F.cross_entropy, ignore_index=2), 2),
    "an attribute": (Wrapped(-1), -1),
}


@pytest.mark.parametrize(("loss", "label"), LOSSES.values(), ids=LOSSES)
@given(data=st.data())
def test_it_passes_over_the_label_that_the_loss_does(loss: Any, label: int, data: st.DataObject) -> None:
    draw = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    outputs, targets = torch.randn(12, 3, generator=draw), torch.randint(0, 3, (12,), generator=draw)
    targets[::3], targets[1] = label, 1
    assert Accuracy.under(loss)(outputs, targets).item() == pytest.approx(by_hand(outputs, targets, label), abs=1e-15)


def test_tokens() -> None:
    """Classes last, as the model gives them, or second, as torch's loss takes them."""
    outputs, targets = torch.randn(4, 5, 3), torch.randint(0, 3, (4, 5))
    targets[:, 3:] = -100
    expected = by_hand(outputs.flatten(0, 1), targets.flatten(), -100)
    own, torchs = Accuracy.under(lambda o, t: None), Accuracy.under(F.cross_entropy)
    assert own(outputs, targets).item() == pytest.approx(expected, abs=1e-15)
    assert torchs(outputs.transpose(1, 2), targets).item() == pytest.approx(expected, abs=1e-15)


def test_as_many_places_as_classes_are_not_mixed_up() -> None:
    """Outputs [n, 3, 3]: of either shape the other's classes would pass for places."""
    outputs, targets = torch.randn(50, 3, 3), torch.randint(0, 3, (50, 3))
    expected = by_hand(outputs.transpose(1, 2).flatten(0, 1), targets.flatten(), None)
    assert Accuracy.under(F.cross_entropy)(outputs, targets).item() == pytest.approx(expected, abs=1e-15)
    assert Accuracy.under(nn.NLLLoss())(outputs, targets).item() == pytest.approx(expected, abs=1e-15)


BINARY = {
    "a function of logits": (F.binary_cross_entropy_with_logits, 0.0),
    "a module of logits": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0)), 0.0),
    "a function of logits with a bound argument": (functools.partial(F.binary_cross_entropy_with_logits), 0.0),
    "a function of probabilities": (F.binary_cross_entropy, 0.5),
    "a module of probabilities": (nn.BCELoss(), 0.5),
}


@pytest.mark.parametrize(("loss", "above"), BINARY.values(), ids=BINARY)
@pytest.mark.parametrize(("outputs", "targets"), [((9,), (9,)), ((9, 1), (9, 1)), ((9, 1), (9,)), ((9, 4, 1), (9, 4)), ((9, 1, 4, 4), (9, 1, 4, 4))])  # fmt: skip  # noqa: E501
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_one_output_for_two_classes(loss: Any, above: float, outputs: Any, targets: Any, dtype: torch.dtype) -> None:
    o, t = torch.rand(outputs), torch.randint(0, 2, targets).to(dtype)
    o = o if above else o - 0.5
    right = [(a > above) == bool(b) for a, b in zip(o.flatten().tolist(), t.flatten().tolist(), strict=True)]
    assert Accuracy.under(loss)(o, t).item() == pytest.approx(sum(right) / len(right), abs=1e-15)


def test_one_output_against_shapes_that_would_broadcast() -> None:
    with pytest.raises(InputError, match=r"accuracy .*\[3\] and \[3, 1\]"):
        Accuracy.under(nn.BCEWithLogitsLoss())(torch.zeros(3), torch.zeros(3, 1))
    with pytest.raises(InputError, match=r"accuracy .*\[3, 2\] and \[3\]"):
        Accuracy.under(nn.BCEWithLogitsLoss())(torch.zeros(3, 2), torch.zeros(3))


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.CrossEntropyLoss(ignore_index=0), nn.BCEWithLogitsLoss()])
def test_many_models_at_once(loss: Any) -> None:
    accuracy = Accuracy.under(loss)
    outputs = torch.randn(4, 6, 1) if accuracy.is_binary else torch.randn(4, 6, 3)
    targets = torch.tensor([0, 1, 1, 0, 1, 0])
    together = torch.vmap(accuracy, in_dims=(0, None))(outputs, targets)
    assert together.tolist() == [accuracy(of_one, targets).item() for of_one in outputs]
