"""Where runs started and which of them diverged, through a whole study to its report."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import thalweg
from thalweg.analysis.reliability import DIVERGED, WORSENED

X = torch.randn(600, 8, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)
SUM = thalweg.Workload(
    name="sum",
    model=lambda: nn.Linear(8, 1),
    train=(X[:480], Y[:480]),
    validation=(X[480:], Y[480:]),
    loss=F.mse_loss,
    metric="mse",
    epochs=4,
)


def compared(rates: list[float], out: Path | None = None, **changes: int) -> thalweg.Result:
    given = {"optimizers": ["sgd"], "learning_rates": rates, "seeds": 3, "confirm_seeds": 0, "progress": False}
    return thalweg.compare(SUM, **{**given, **changes}, out=out)  # type: ignore[arg-type]


def test_runs_that_improve_are_not_called_diverged(tmp_path: Path) -> None:
    result = compared([1e-6, 1e-5, 1e-4], tmp_path)
    for run in result.runs:
        losses = [run.initial_validation_loss, *(m.validation_loss for m in run.curve)]
        assert losses == sorted(losses, reverse=True)  # type: ignore[type-var]
        assert not run.diverged
    assert any(run.curve[-1].train_loss > run.initial_loss for run in result.runs)  # type: ignore[operator]
    assert (result.rows[0].diverged, result.rows[0].failures) == (0, {})
    assert thalweg.stored(tmp_path).runs == result.runs
    assert "ended worse than it began" in (tmp_path / "report.html").read_text()


def test_all_members_of_a_seed_share_their_start() -> None:
    result = compared([1e-3, 1e-2], seeds=2)
    starts = {(run.seed, run.initial_validation_loss, run.loss_spread) for run in result.runs}
    assert len(starts) == 2


def test_runs_that_worsen_and_runs_that_end_are_told_apart() -> None:
    (row,) = compared([1e-2, 1.5, 1e6], steps=12).rows
    assert row.failures == {WORSENED: 3, DIVERGED: 3}
    assert row.diverged == 6
    assert row.learning_rate == 1e-2
