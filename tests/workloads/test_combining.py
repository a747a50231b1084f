"""The mean answer of several models: of probabilities and logits by hand, as each loss reads outputs."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thalweg.workloads.combining import combined, has_probabilities, probabilities

LOGITS = np.random.default_rng(0).normal(size=(3, 5, 4)) * 4


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    "loss", [F.cross_entropy, nn.CrossEntropyLoss(), partial(F.cross_entropy, label_smoothing=0.1)]
)
def test_probabilities_of_classes(loss: Any) -> None:
    """Voting of TorchEnsemble: the mean of softmax."""
    found = combined(torch.tensor(LOGITS), loss, "probabilities")
    expected = softmax(LOGITS).mean(0)
    np.testing.assert_allclose(found.softmax(1).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(probabilities(found, loss).numpy(), expected, rtol=1e-12)
    labels = torch.tensor([0, 1, 2, 3, 0])
    assert float(F.cross_entropy(found, labels)) == pytest.approx(-np.log(expected[range(5), labels]).mean(), rel=1e-12)


def test_logits_of_classes() -> None:
    found = combined(torch.tensor(LOGITS), F.cross_entropy, "logits")
    np.testing.assert_allclose(found.numpy(), LOGITS.mean(0), rtol=1e-12)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_log_probabilities(average: Any) -> None:
    """Under NLL, outputs are log probabilities, and so is their combination."""
    p = softmax(LOGITS)
    found = combined(torch.tensor(np.log(p)), F.nll_loss, average).exp().numpy()
    geometric = np.exp(np.log(p).mean(0))
    expected = p.mean(0) if average == "probabilities" else geometric / geometric.sum(1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_places_of_classes_along_the_second_dimension() -> None:
    z = np.random.default_rng(1).normal(size=(2, 3, 4, 6))  # models, samples, classes, places
    found = combined(torch.tensor(z), F.cross_entropy, "probabilities").softmax(1).numpy()
    expected = np.moveaxis(softmax(np.moveaxis(z, 2, -1)).mean(0), -1, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_two_classes_by_one_logit() -> None:
    z = LOGITS[:, :, 0]
    p = 1 / (1 + np.exp(-z))
    found = combined(torch.tensor(z), F.binary_cross_entropy_with_logits, "probabilities")
    np.testing.assert_allclose(torch.sigmoid(found).numpy(), p.mean(0), rtol=1e-12)
    of_probabilities = combined(torch.tensor(p), F.binary_cross_entropy, "probabilities")
    np.testing.assert_allclose(of_probabilities.numpy(), p.mean(0), rtol=1e-12)
    logits = combined(torch.tensor(p), nn.BCELoss(), "logits")
    np.testing.assert_allclose(logits.numpy(), 1 / (1 + np.exp(-z.mean(0))), rtol=1e-9)


def test_sure_models_do_not_overflow() -> None:
    sure = torch.tensor([[[200.0, -200.0]], [[-200.0, 200.0]]])
    assert combined(sure, F.cross_entropy, "probabilities").softmax(1).tolist() == [[0.5, 0.5]]
    one = combined(torch.tensor([[300.0], [300.0]]), F.binary_cross_entropy_with_logits, "probabilities")
    assert one.tolist() == [pytest.approx(300.0)]


def test_other_outputs_are_averaged_as_they_are() -> None:
    found = combined(torch.tensor(LOGITS), F.mse_loss, "probabilities")
    np.testing.assert_allclose(found.numpy(), LOGITS.mean(0), rtol=1e-12)
    assert torch.equal(probabilities(found, F.mse_loss), found)
    assert not has_probabilities(F.mse_loss)
