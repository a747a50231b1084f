"""A loss, or a step, that compares all outputs with all targets by broadcasting is refused; one of all pairs is not."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.population.planning.planned_job import plan_job
from thalweg.workloads.workload import Workload

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(24, 3, generator=GENERATOR)
COLUMN = X[:, :1] + 0.5
ROW = COLUMN[:, 0]


def plan(y: Tensor = ROW, **given: Any) -> frozenset[str]:
    """Plans a training, and returns the names of the parameters that it trains."""
    defaults: dict[str, Any] = {"model": lambda: nn.Linear(3, 1), "train": (X, y), "validation": (X[:9], y[:9])}
    workload = Workload(name="w", **{**defaults, "batch_size": 8, **given})
    return plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution="auto").job.trained


class Flat(nn.Sequential):
    """Outputs `[samples]`."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 1), nn.Flatten(0))


def squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).mean()


def likelihood(outputs: Tensor, targets: Tensor) -> Tensor:
    p = outputs.sigmoid()
    return -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()


def by_torch(model: Any, batch: Any) -> Tensor:
    return F.mse_loss(model(batch[0]), batch[1])


def by_hand(model: Any, batch: Any) -> dict[str, Tensor]:
    x, y = batch
    return {"fit": squares(model(x), y), "size": model.weight.square().mean()}


def of_dict(model: Any, batch: Any) -> Tensor:
    return squares(batch["y"], model(batch["x"]))


def scores(model: Any, batch: Any) -> Tensor:
    x, (first, second) = batch
    return squares(model(x), first) + squares(model(x)[:, 0], second)


def progressing(model: Any, batch: Any, progress: Any) -> Tensor:
    return progress.share * squares(model(batch[0]), batch[1])


HERE = Path(__file__)
TORCH = (
    r"^The loss of 'w' takes tensors of shapes \[8, 1\] and \[8\] \(at .*test_pairing.py:{}\), which torch would"
    r" broadcast, and not compare one by one; give both one shape, such as outputs.squeeze\(1\) or y.unsqueeze\(1\)\.$"
)
OWN = (
    r"^The loss of 'w' compares all outputs with all targets, and not one by one: its tensors of shapes {} are"
    r" broadcast to \[8, 8\] \(at .*test_pairing.py:{}\), and it is the same whichever target belongs to which"
    r" sample; give both one shape, such as outputs.squeeze\(1\)"
)


def line(of: str) -> int:
    """The number of the line of this file that has a text."""
    return next(i for i, text in enumerate(HERE.read_text(encoding="utf-8").splitlines(), 1) if of in text)


COLUMN_FIRST, ROW_FIRST = r"\[8, 1\] and \[8\]", r"\[8\] and \[8, 1\]"
SQUARES = "return ((outputs - targets) ** 2)"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a step, torch's loss": ({"step": by_torch}, TORCH.format(line("F.mse_loss(model"))),
    "a step": ({"step": by_hand}, OWN.format(COLUMN_FIRST, line(SQUARES))),
    "a step of a dict": (
        {"step": of_dict, "train": {"x": X, "y": ROW}, "validation": {"x": X, "y": ROW}},
        OWN.format(ROW_FIRST, line(SQUARES)),
    ),
    "the first of two targets": (
        {"step": scores, "train": (X, (ROW, ROW)), "validation": (X, (ROW, ROW))},
        OWN.format(COLUMN_FIRST, line(SQUARES)),
    ),
    "a step with progress": ({"step": progressing}, OWN.format(COLUMN_FIRST, line(SQUARES))),
    "a loss": ({"loss": squares, "metric": "loss"}, OWN.format(COLUMN_FIRST, line(SQUARES))),
    "a likelihood": (
        {"loss": likelihood, "metric": "loss", "y": (ROW > 0).float()},
        OWN.format(ROW_FIRST, line("return -(targets * p.log()")),
    ),
    "the targets are a column": (
        {"loss": squares, "metric": "loss", "y": COLUMN, "model": Flat},
        OWN.format(ROW_FIRST, line(SQUARES)),
    ),
    "a loss of torch that does not warn": (
        {"loss": F.poisson_nll_loss, "metric": "loss", "y": ROW.abs()},
        r"its tensors of shapes \[8, 1\] and \[8\] are broadcast to \[8, 8\], and it is the same whichever",
    ),
    "validation alone": (
        {"loss": squares, "metric": "loss", "y": COLUMN, "validation": (X[:8], ROW[:8])},
        OWN.format(COLUMN_FIRST, line(SQUARES)),
    ),
    "test alone": (
        {"step": by_hand, "y": COLUMN, "test": (X[:8], ROW[:8])}, OWN.format(COLUMN_FIRST, line(SQUARES)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_comparing_all_with_all_is_refused(name: str) -> None:
    given, message = REFUSED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=message):
            plan(**given)


def test_the_metric_alone_is_refused() -> None:
    with pytest.raises(InputError, match=re.escape("takes tensors of shapes [8, 1] and [8]")):
        plan(step=lambda model, batch: squares(model(batch[0])[:, 0], batch[1]), predict=lambda m, b: m(b[0])[:8],
             metric=F.mse_loss, validation=(X[:8], ROW[:8]))  # fmt: skip


def ranking(outputs: Tensor, targets: Tensor) -> Tensor:
    s = outputs[:, 0]
    return (F.relu(1 - (s.unsqueeze(1) - s)) * (targets.unsqueeze(1) > targets)).mean()


def contrastive(model: Any, batch: Any) -> Tensor:
    x, y = batch
    away = torch.cdist(model(x), model(x))
    return torch.where(y.unsqueeze(1) == y, away, F.relu(1 - away)).mean()


def energy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets[None]).abs().mean()


def spread(model: Any, batch: Any) -> Tensor:
    s = model(batch[0])
    return s.mean() - (s - s[:, 0]).abs().mean()


def matched(outputs: Tensor, targets: Tensor) -> Tensor:
    """Each output with the target of its rank, whosever that is."""
    return squares(outputs[outputs[:, 0].argsort()], targets[targets.argsort()][:, None])


MEANT: dict[str, dict[str, Any]] = {
    "one by one": {"loss": squares, "metric": "loss", "y": COLUMN},
    "a ranking": {"loss": ranking, "metric": "loss"},
    "a contrast": {"step": contrastive, "y": (ROW > 0).long()},
    "all pairs, said by y[None]": {"loss": energy, "metric": "loss"},
    "pairs of its own": {"loss": matched, "metric": "loss"},
    "no targets": {"step": spread},
    "one target for all": {"loss": squares, "metric": "loss", "y": torch.ones(24)},
}


@pytest.mark.parametrize("name", MEANT)
def test_pairs_that_are_meant(name: str) -> None:
    assert plan(**MEANT[name]) == {"weight", "bias"}


def squeezed(model: Any, batch: Any) -> Tensor:
    return F.mse_loss(model(batch[0]).squeeze(), batch[1])


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_last_batch_of_one_sample_is_one_pair() -> None:
    """Of which `squeeze()` leaves no dimension."""
    assert plan(step=squeezed, batch_size=23) == {"weight", "bias"}
