"""A workload's loss as its metric, and perplexity and bits per character, against the loss computed by hand."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.workloads.metric_names import metric_named, metric_of
from thalweg.workloads.metrics import Metric
from thalweg.workloads.workload import Workload

OUTPUTS = torch.randn(12, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.randint(0, 5, (12, 3), generator=torch.Generator().manual_seed(1))
TARGETS[::2, 0] = -100


def by_hand(outputs: Tensor, targets: Tensor) -> float:
    """Mean negative log-likelihood, in nats, of the labels that count."""
    scores, truth = outputs.movedim(1, -1).reshape(-1, outputs.shape[1]).numpy(), targets.flatten().numpy()
    scores, truth = scores[truth >= 0], truth[truth >= 0]
    likelihood = np.exp(scores[np.arange(len(truth)), truth]) / np.exp(scores).sum(1)
    return float(-np.log(likelihood).mean())


def bound(name: str, loss: Any) -> Metric:
    metric = metric_of(name, loss)
    assert metric is not None
    assert (metric.name, metric.maximized, metric.vectorized) == (name, False, True)
    return metric


LIKELIHOODS = [
    F.cross_entropy, nn.CrossEntropyLoss(), functools.partial(F.cross_entropy, reduction="mean"),
    nn.CrossEntropyLoss(ignore_index=-100, label_smoothing=0.0), functools.partial(F.cross_entropy, weight=None),
]  # fmt: skip


@pytest.mark.parametrize("loss", LIKELIHOODS)
def test_cross_entropy(loss: Any) -> None:
    nats = by_hand(OUTPUTS, TARGETS)
    assert bound("loss", loss).function(OUTPUTS, TARGETS).item() == pytest.approx(nats, rel=1e-12)
    assert bound("perplexity", loss).function(OUTPUTS, TARGETS).item() == pytest.approx(np.exp(nats), rel=1e-12)
    bits = bound("bits_per_character", loss).function(OUTPUTS, TARGETS).item()
    assert 2**bits == pytest.approx(np.exp(nats), rel=1e-12)


@pytest.mark.parametrize("loss", [F.nll_loss, nn.NLLLoss()])
def test_log_likelihood(loss: Any) -> None:
    perplexity = bound("perplexity", loss).function(OUTPUTS.log_softmax(1), TARGETS)
    assert perplexity.item() == pytest.approx(np.exp(by_hand(OUTPUTS, TARGETS)), rel=1e-12)


def own(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.sum((1, 2)) - targets[:, 1]).abs().mean()[None]


def test_the_loss_of_ones_own() -> None:
    expected = np.abs(OUTPUTS.numpy().sum((1, 2)) - TARGETS[:, 1].numpy()).mean()
    found = bound("loss", own).function(OUTPUTS, TARGETS)
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["loss", "perplexity", "bits_per_character"])
def test_members_at_once(name: str) -> None:
    function = bound(name, F.cross_entropy).function
    members = torch.stack([OUTPUTS, OUTPUTS.flip(0), OUTPUTS * 2])
    together = torch.vmap(function, in_dims=(0, None))(members, TARGETS)
    assert together.tolist() == pytest.approx([function(o, TARGETS).item() for o in members], rel=1e-12)


REFUSED = {
    "squares": (F.mse_loss, r"a loss that is torch's cross entropy or .*, got 'mse_loss': give metric='loss', or"),
    "binary": (nn.BCEWithLogitsLoss(), "got 'BCEWithLogitsLoss'"),
    "one's own": (own, "got 'own'"),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), r"and the loss has label_smoothing=0\.1: give"),
    "weighted": (nn.NLLLoss(weight=torch.ones(5)), "and the loss has weight=tensor"),
    "bound": (functools.partial(F.cross_entropy, reduction="sum"), "and the loss has reduction='sum'"),
    "as torch once wrote it": (functools.partial(F.cross_entropy, size_average=False), "has size_average=False"),
    "bound to a module": (functools.partial(nn.CrossEntropyLoss(reduction="sum")), "has reduction='sum'|got 'CrossEnt"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["perplexity", "bits_per_character"])
@pytest.mark.parametrize(("loss", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_of_other_losses(name: str, loss: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{name} is of .*{message}"):
        metric_of(name, loss)


def test_an_overridden_module_is_refused() -> None:
    class Own(nn.CrossEntropyLoss):
        def forward(self, input: Tensor, target: Tensor) -> Tensor:
            return 2 * super().forward(input, target)

    with pytest.raises(InputError, match="got 'Own'"):
        metric_of("perplexity", Own())


def test_without_a_loss() -> None:
    with pytest.raises(InputError, match=r"^A metric of the loss needs one: give it by name"):
        metric_named("loss").function(OUTPUTS, TARGETS)


def test_another_loss_of_a_workload_is_its_metric_too() -> None:
    x, y = torch.rand(6, 2), torch.rand(6, 1)
    data = {"train": (x, y), "validation": (x, y)}
    first = Workload(name="w", model=lambda: nn.Linear(2, 1), loss=F.mse_loss, metric="loss", **data)
    second = replace(first, loss=F.l1_loss)
    assert first.metric.function(x[:, :1], y).item() == pytest.approx(F.mse_loss(x[:, :1], y).item(), rel=1e-12)
    assert second.metric.function(x[:, :1], y).item() == pytest.approx(F.l1_loss(x[:, :1], y).item(), rel=1e-12)
    with pytest.raises(InputError, match=r"^loss must be a callable"):
        replace(first, loss=3)
