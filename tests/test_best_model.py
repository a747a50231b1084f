"""The recommended optimizer's model comes back: trained again, it equals the run of the study."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, safe_open
from torch import nn

import thalweg
from problems import tiny
from records_fixture import RUN, STUDY
from scope import conformance_only
from thalweg.analysis.leaderboard import leaderboard
from thalweg.api.best import best_of
from thalweg.records.types import Measurement, RunRecord

ASKED: dict[str, Any] = {"learning_rates": [0.1, 0.01], "seeds": 2, "confirm_seeds": 3, "progress": False}


def accuracy(model: nn.Module, split: Any) -> float:
    with torch.no_grad():
        return float((model(split.inputs[0]).argmax(1) == split.targets).double().mean())


def best_run(result: thalweg.Result) -> RunRecord:
    """By hand: of the recommended contender's confirmation runs, that with the best validation accuracy."""
    assert result.best is not None
    finals = [r for r in result.runs if r.role == "confirmation" and r.contender == result.best.contender]
    return max(finals, key=lambda r: r.curve[-1].validation_metric or 0.0)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[thalweg.Result, Path]:
    out = tmp_path_factory.mktemp("best") / "out"
    return thalweg.compare(tiny(torch.float64, epochs=3), "sgd,adam", out=out, **ASKED), out


def test_it_equals_its_run(stored: tuple[thalweg.Result, Path]) -> None:
    best, run = stored[0].best, best_run(stored[0])
    assert best is not None
    assert stored[0].verdict.startswith(f"Use {best.contender} at learning rate {best.learning_rate:.3g}")
    assert (best.seed, best.hyperparameters) == (run.seed, run.hyperparameters)
    model = best.train()
    assert not model.training
    workload = tiny(torch.float64, epochs=3)
    assert accuracy(model, workload.validation) == run.curve[-1].validation_metric
    assert accuracy(model, workload.train) == run.train_metric
    again = best.train(seed=best.seed + 1)
    assert not torch.equal(next(again.parameters()), next(model.parameters()))


def test_of_a_stored_study(stored: tuple[thalweg.Result, Path]) -> None:
    best, expected = thalweg.Studies(stored[1]).open().best, stored[0].best
    assert best is not None
    assert expected is not None
    with pytest.raises(
        thalweg.InputError, match=r"your own: pass it in Python, as workload=… of thalweg\.resume or best\.train"
    ):
        best.train()
    model = best.train(workload=tiny(torch.float64, epochs=3))
    for a, b in zip(model.parameters(), expected.train().parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(thalweg.InputError, match="changed since the study was begun"):
        best.train(workload=tiny(torch.float64, epochs=3, batch_size=7))


def test_save_model(tmp_path: Path) -> None:
    file = tmp_path / "best.safetensors"
    result = thalweg.compare(tiny(epochs=2), "adam", save_model=file, **ASKED)
    assert result.best is not None
    weights, model = load_file(file), result.best.train()
    assert {n: t.tolist() for n, t in weights.items()} == {n: t.tolist() for n, t in model.state_dict().items()}
    with safe_open(file, "pt") as opened:
        assert opened.metadata()["seed"] == str(result.best.seed)
        assert opened.metadata()["optimizer"].startswith("adam(lr=")
    assert [p.name for p in tmp_path.iterdir()] == ["best.safetensors"]


def test_save_model_of_a_stored_study(stored: tuple[thalweg.Result, Path], tmp_path: Path) -> None:
    file = tmp_path / "again.safetensors"
    thalweg.resume(stored[1], workload=tiny(torch.float64, epochs=3), progress=False, save_model=file)
    assert stored[0].best is not None
    expected = stored[0].best.train().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_file(file).items())


@pytest.mark.parametrize("file", ["best.pt", "no/best.safetensors"])
def test_a_wrong_file_is_refused_before_training(file: str, tmp_path: Path) -> None:
    with pytest.raises(thalweg.InputError, match="save_model must be"):
        thalweg.compare(tiny(epochs=2), "adam", save_model=tmp_path / file, **ASKED)


@conformance_only
def test_early_stopping_gives_the_best_weights() -> None:
    result = thalweg.compare(tiny(epochs=6), "sgd", early_stopping="patience=1", **ASKED)
    assert result.best is not None
    run = result.best.run
    best = max(p.validation_metric or 0.0 for p in run.curve)
    assert accuracy(result.best.train(), tiny(epochs=6).validation) == pytest.approx(best, abs=0.03)


def test_its_run_is_judged_by_the_weights_that_it_kept() -> None:
    """Early stopping restores the best ones: what the metric was at the last measurement says nothing."""

    def run(seed: int, kept: float, last: float) -> RunRecord:
        curve = (Measurement(1, 1.0, 1.0, kept), Measurement(2, 1.0, 1.0, last))
        return replace(RUN, contender="adam", seed=seed, curve=curve, steps=2, restored_from=1, stopped_at=2)

    record, runs = replace(STUDY, contenders=("adam",)), [run(0, 0.9, 0.1), run(1, 0.8, 0.7), run(2, 0.7, 0.7)]
    best = best_of(thalweg.Result(record, runs, leaderboard(record, runs), ""), lambda *_: None)  # type: ignore[arg-type]
    assert best is not None
    assert best.seed == 0


def test_there_is_none_without_a_recommendation(stored: tuple[thalweg.Result, Path]) -> None:
    assert replace(stored[0], rows=[]).best is None
