"""`compare` on a small workload: what is run, what is kept, what comes out."""

import json
import math
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import thalweg
from problems import tiny
from scope import conformance_only
from thalweg.analysis.selection import noise
from thalweg.records.store import Store

RATES = [1e-2, 1e-1]


def compared(**options: Any) -> thalweg.Result:
    given: dict[str, Any] = {
        "optimizers": ["sgd", "adam", "rmsprop(alpha=0.9, lr=1e-3)"], "learning_rates": RATES, "seeds": 2,
        "confirm_seeds": 3, "progress": False,
    }  # fmt: skip
    return thalweg.compare(tiny(), **(given | options))


@pytest.fixture(scope="module")
def result() -> thalweg.Result:
    return compared()


def test_every_run_of_the_protocol_is_there(result: thalweg.Result) -> None:
    runs = {(r.contender, r.role, r.learning_rate, r.seed) for r in result.runs}
    tuning = {("adam", "tuning", lr, s) for lr in RATES for s in (0, 1)}
    assert tuning <= runs
    assert {("rmsprop(alpha=0.9, lr=1e-3)", "tuning", 1e-3, s) for s in (0, 1)} <= runs
    assert {("adam", "defaults", 1e-3, s) for s in (1000, 1001, 1002)} <= runs
    assert (
        len(runs) == len(result.runs) == 2 * (2 + 2 + 1) + 3 * (3 + 2)
    )  # a fixed rate has no published default beside it


def test_the_test_split_is_read_in_confirmation_runs_only(result: thalweg.Result) -> None:
    for run in result.runs:
        assert (run.test_metric is None) == (run.role == "tuning")


def test_leaderboard(result: thalweg.Result) -> None:
    board = result.leaderboard()
    assert list(board["rank"]) == [1, 2, 3]
    assert set(board["optimizer"]) == {"sgd", "adam", "rmsprop(alpha=0.9, lr=1e-3)"}
    assert board["test"].is_monotonic_decreasing
    assert (board["test_low"] <= board["test"]).all()
    assert (board["test"] <= board["test_high"]).all()
    first = result.rows[0]
    own = [r.test_metric for r in result.runs if r.contender == first.contender and r.role == "confirmation"]
    assert board["test"][0] == pytest.approx(sum(own) / 3)  # type: ignore[arg-type]
    assert result.verdict.startswith(f"Use {first.contender} at learning rate")


def test_the_choice_is_made_on_validation_alone(result: thalweg.Result) -> None:
    """The chosen rate's tuning mean is within one standard error of the best, whatever the test metrics are."""
    for row in result.rows:
        best = max(point.metric.mean for point in row.tried)
        assert row.choice is not None
        variances = [noise(row.tried, i) for i in range(len(row.tried))]
        assert row.choice.point.metric.mean >= best - math.sqrt(max(variances) / len(result.study.tuning_seeds))


def test_facts_are_strict_json(result: thalweg.Result) -> None:
    facts = json.loads(json.dumps(result.facts(), allow_nan=False))
    assert facts["seeds"] == {"tuning": [0, 1], "confirmation": [1000, 1001, 1002]}
    for row in facts["leaderboard"]:
        assert set(row["test"]) == {"mean", "low", "high"}
        assert row["validation"]["low"] <= row["validation"]["mean"] <= row["validation"]["high"]
        own = [run for run in result.runs if run.contender == row["optimizer"]]
        assert (row["diverged"], row["trained"]) == (sum(run.diverged for run in own), len(own))


def test_repeats_bitwise_under_the_same_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one measurement that a plan depends on is held still."""
    monkeypatch.setattr("thalweg.population.planning.backend.time_together", lambda *_: 0.0)
    first, second = compared(), compared()
    timed = {"seconds": 0.0, "preparing": 0.0}
    plans = [{**r.study.plan, "pace": {}, "expected": {**r.study.plan["expected"], **timed}} for r in (first, second)]
    assert plans[0] == plans[1]
    ours, theirs = ({(r.contender, r.role, r.learning_rate, r.seed): r.curve for r in x.runs} for x in (first, second))
    assert ours == theirs


def test_without_confirmation_only_tuning_runs() -> None:
    result = compared(confirm_seeds=0)
    assert {run.role for run in result.runs} == {"tuning"}
    assert result.leaderboard()["test"].isna().all()
    assert result.facts()["leaderboard"][0]["test"] is None
    assert result.facts()["leaderboard"][0]["defaults"]["test"] is None
    assert result.rows[0].validation.mean == max(row.validation.mean for row in result.rows)


def test_a_directory_keeps_everything(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "results"
    result = compared(optimizers=["sgd"], seeds=1, confirm_seeds=1, out=out)
    assert sorted(p.name for p in out.iterdir() if "-" not in p.name) == ["report.html", "study.sqlite"]
    store = Store(out)
    assert store.runs(1) == result.runs
    assert store.study(1) == result.study
    store.close()
    with sqlite3.connect(out / "study.sqlite") as db:
        finished, verdict, selection = db.execute("SELECT finished, verdict, selection FROM studies").fetchone()
    assert finished
    assert verdict == result.verdict
    assert json.loads(selection) == {"sgd": dict(result.rows[0].hyperparameters)}


def test_nothing_is_written_without_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compared(optimizers=["sgd"], seeds=1, confirm_seeds=0)
    assert list(tmp_path.iterdir()) == []


def test_report_is_saved(result: thalweg.Result, tmp_path: Path) -> None:
    result.save_report(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "rmsprop(alpha=0.9, lr=1e-3)" in text
    assert result.verdict.split(":")[0] in text


class Fails(nn.Module):
    """Works until its weights have moved, as a model with a bug at a later step does."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)
        self.steps = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += self.training
        if self.steps > 40:
            raise RuntimeError("the 41st batch")
        return self.out(x) * (1.0 if self.steps % 2 else 1.001)


def test_runs_finished_before_a_crash_are_kept(tmp_path: Path) -> None:
    """Tuning passes at one epoch of 21 steps; a crash at step 41 comes in none of it."""
    with pytest.raises(thalweg.InputError, match="the 41st batch"):
        thalweg.compare(
            tiny(model=Fails, epochs=2), ["sgd"], [0.1], seeds=1, confirm_seeds=0, progress=False, out=tmp_path
        )
    store = Store(tmp_path)
    assert store.study(1).workload == "tiny"
    store.close()


class Explodes(nn.Module):
    """Raises once its weights are large, so only at the highest rates, and only after some steps."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.out.weight.abs().max() > 50:
            raise ValueError("the weights exploded")
        return self.out(x)


def test_a_run_that_raises_ends_alone(tmp_path: Path) -> None:
    """The others go on, and the record says which line it was."""
    result = thalweg.compare(
        tiny(model=Explodes), ["sgd", "momentum"], [0.1, 1e4], seeds=1, confirm_seeds=1, progress=False, out=tmp_path
    )
    failed = [run for run in result.runs if run.failure]
    assert {run.learning_rate for run in failed} == {1e4}
    assert len(failed) == 2
    assert all(
        re.search(r"ValueError: the weights exploded \(raised at .*test_api.py:\d+\)", r.failure) for r in failed
    )
    assert {row.learning_rate for row in result.rows} == {0.1}
    assert all(row.test is not None and row.test.mean > 0.5 for row in result.rows)


def test_all_diverged_is_told_not_raised() -> None:
    workload = tiny(loss=lambda outputs, targets: outputs.mean() * math.nan)
    result = thalweg.compare(workload, ["sgd"], [0.1], seeds=1, confirm_seeds=1, progress=False)
    assert "No optimizer finished a run" in result.verdict
    assert result.leaderboard()["diverged"][0] == 2


@conformance_only
def test_a_metric_that_is_never_a_number_is_told() -> None:
    metric = thalweg.Metric("recall", lambda outputs, targets: outputs.sum() * math.nan, True)
    result = thalweg.compare(tiny(metric=metric), ["sgd"], [0.1], seeds=1, confirm_seeds=1, progress=False)
    assert result.verdict.startswith("No run has a recall that is a finite number, though all were trained")


def test_a_fixed_rate_is_not_held_against_the_published_one() -> None:
    given = ["sgd(lr=0.05)", "momentum"]
    result = thalweg.compare(tiny(), given, [0.1], seeds=1, confirm_seeds=2, progress=False)
    assert {run.contender for run in result.runs if run.role == "defaults"} == {"momentum"}


@conformance_only
def test_a_user_metric_that_is_better_lower() -> None:
    metric = thalweg.Metric("errors", lambda outputs, targets: (outputs.argmax(1) != targets).sum(), False)
    result = thalweg.compare(
        tiny(metric=metric, target=40), ["sgd"], [1e-4, 1e-1], seeds=1, confirm_seeds=2, progress=False
    )
    assert result.rows[0].learning_rate == 1e-1
    assert "errors" in result.verdict


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "seeds must be a whole number from 1 to 1,000, got 0"),
        ({"confirm_seeds": -1}, "confirm_seeds must be a whole number from 0 to 1,000"),
        ({"base_seed": 1.5}, "base_seed must be a whole number"),
        ({"epochs": 0}, "epochs must be a whole number from 1 to 1,000,000, got 0"),
        ({"device": "gpu"}, "device 'gpu' cannot be used"),
        ({"optimizers": ["sdg"]}, "Did you mean sgd"),
        ({"learning_rates": [0]}, "positive finite number"),
    ],
)
def test_bad_input_is_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(thalweg.InputError, match=message):
        compared(**options)


def test_threads_and_random_state_are_left_as_found() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    compared(optimizers=["sgd"], seeds=1, confirm_seeds=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == 2


def test_searched_hyperparameters_of_ours_and_of_others() -> None:
    result = thalweg.compare(
        tiny(), ["adam", "torch.optim:RAdam"], tune=["lr", "beta1"], trials=3, seeds=1, confirm_seeds=1, progress=False
    )
    ours, theirs = (
        [r for r in result.runs if r.contender == name and r.round == "search"]
        for name in ("adam", "torch.optim:RAdam")
    )
    assert len(ours) == len(theirs) == 3
    assert {name for run in ours for name in run.hyperparameters} == {"lr", "beta1"}
    assert {name for run in theirs for name in run.hyperparameters} == {"lr"}
    assert result.study.caps == {"runs": 3, "evaluations": 3 * 63, "seconds": None}


def test_steps_and_clipping_are_in_the_record() -> None:
    result = thalweg.compare(
        tiny(evaluate_every=5), ["sgd"], [0.1], seeds=1, confirm_seeds=0, steps=12, clip_norm=0.5, progress=False
    )
    assert [m.step for m in result.runs[0].curve] == [5, 10, 12]
    assert result.study.plan["clip_norm"] == 0.5
    assert (result.study.steps, result.study.evaluate_every) == (12, 5)


def test_a_budget_is_in_the_record() -> None:
    result = thalweg.compare(tiny(), ["sgd", "adam"], budget=20.0, progress=False)
    assert result.study.caps["seconds"] > 0
    assert len({run.seed for run in result.runs if run.role == "confirmation"}) == len(result.study.confirmation_seeds)
