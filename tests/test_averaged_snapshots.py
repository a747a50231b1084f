"""Averages of an ensemble's weights are scored with batch norm's statistics computed anew, by hand."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import thalweg
from problems import points, tiny

ASKED: dict[str, Any] = {"learning_rate": 3e-2, "progress": False}


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.norm(self.first(x))))


def mean_of(models: list[nn.Module]) -> nn.Module:
    """The mean of the parameters, with statistics over the first 20 batches of 16 in the data's order."""
    averaged = Normed()
    with torch.no_grad():
        for name, parameter in averaged.named_parameters():
            parameter.copy_(torch.stack([m.get_parameter(name) for m in models]).double().mean(0))
    x = points(330, 1, torch.float32)[0]
    update_bn([x[16 * i : 16 * i + 16] for i in range(20)], averaged)
    return averaged.eval()


def accuracy(model: nn.Module, samples: int, seed: int) -> float:
    x, y = points(samples, seed, torch.float32)
    with torch.no_grad():
        return float((model(x).argmax(1) == y).double().mean())


def test_the_mean_of_the_weights_and_the_soup_by_hand() -> None:
    found = thalweg.ensemble(tiny(model=Normed, epochs=6), 3, snapshots=True, optimizer="sgd", **ASKED)
    averaged = found.scores["averaged_weights"]
    assert averaged["mean"] == pytest.approx(accuracy(mean_of(found.models), 110, 3), abs=1e-9)
    alone = [accuracy(mean_of([m]), 90, 2) for m in found.models]
    order = sorted(range(3), key=lambda i: -alone[i])
    chosen, best = [order[0]], alone[order[0]]
    for i in order[1:]:
        score = accuracy(mean_of([found.models[j] for j in (*chosen, i)]), 90, 2)
        if score >= best:
            chosen, best = [*chosen, i], score
    assert averaged["ingredients"] == sorted(chosen)
    assert averaged["soup"] == pytest.approx(accuracy(mean_of([found.models[i] for i in chosen]), 110, 3), abs=1e-9)
    assert "mean of the weights" in "\n".join(found.lines())


def test_models_of_several_starts_have_no_average() -> None:
    assert thalweg.ensemble(tiny(epochs=1), 2, **ASKED).scores["averaged_weights"] is None


def test_models_of_one_start_have_one() -> None:
    """Fine-tuned from the same weights, with other orders of batches: model soups."""
    start = {k: v.clone() for k, v in Normed().state_dict().items()}
    found = thalweg.ensemble(tiny(model=Normed, initial=start, epochs=1), 2, **ASKED)
    assert set(found.scores["averaged_weights"]) == {"mean", "soup", "ingredients"}
