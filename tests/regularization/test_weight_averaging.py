"""Averages of weights: by hand, as torch's SWA has them, greedy soups, and batch norm's statistics anew."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

import thalweg
from thalweg.regularization.weight_averaging import greedy_soup, mean, recompute_statistics


def number(value: float) -> dict[str, Tensor]:
    return {"w": torch.tensor([value])}


def test_the_means_of_one_two_and_three() -> None:
    """Torch's SWA of 1, 2, 3, as it comes along: 1, 1.5, 2."""
    found = [float(mean([number(v) for v in (1.0, 2.0, 3.0)[:n]])["w"]) for n in (1, 2, 3)]
    assert found == [1.0, 1.5, 2.0]


def net(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))


def test_as_torchs_averaged_model() -> None:
    models = [net(s) for s in range(3)]
    averaged = AveragedModel(models[0])
    for model in models:
        averaged.update_parameters(model)
    ours = mean([m.state_dict() for m in models])
    for name, parameter in averaged.module.named_parameters():
        assert torch.allclose(ours[name], parameter, atol=1e-7), name
    assert ours["1.num_batches_tracked"].dtype is torch.int64


def test_statistics_as_torchs() -> None:
    batches = [torch.randn(8, 3, generator=torch.Generator().manual_seed(s)) for s in range(5)]
    ours, theirs = net(0), net(0)
    theirs[2].p = 0.0  # torch leaves dropout on while it measures
    update_bn(batches, theirs)
    recompute_statistics(ours.eval(), batches, lambda model, batch: model(batch))
    assert not ours.training
    assert ours[1].momentum == 0.1
    for name in ("running_mean", "running_var"):
        assert torch.allclose(getattr(ours[1], name), getattr(theirs[1], name), atol=1e-7)


def test_a_model_without_batch_norm_is_left_as_it_is() -> None:
    def never(model: nn.Module, batch: Any) -> None:
        raise AssertionError("there is nothing to measure")

    model = nn.Linear(2, 2)
    assert recompute_statistics(model, [1], never) is model


def test_a_greedy_soup_by_hand() -> None:
    """Scores are -|w|: 1 is best; with -1 the mean is 0, better; 4 and -7 make it worse, 0 not."""

    def score(weights: Mapping[str, Tensor]) -> float:
        return -abs(float(weights["w"]))

    soup, chosen = greedy_soup([number(v) for v in (4.0, 1.0, -1.0, -7.0)], score)
    assert (chosen, float(soup["w"])) == ([1, 2], 0.0)
    soup, chosen = greedy_soup([number(4.0), number(1.0)], lambda w: -score(w), higher_is_better=False)
    assert (chosen, float(soup["w"])) == ([1], 1.0)


def test_refused() -> None:
    with pytest.raises(thalweg.InputError, match="at least one"):
        mean([])
    with pytest.raises(thalweg.InputError, match="different models: 'v'"):
        thalweg.weight_averaging.mean([number(1.0), {"w": torch.ones(1), "v": torch.ones(1)}])
    with pytest.raises(thalweg.InputError, match="different models: 'w'"):
        mean([number(1.0), {"w": torch.ones(2)}])
