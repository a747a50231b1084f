"""Rules whose learning rate has another name: their studies run to the report, and lines run along the rate alone."""

from pathlib import Path
from typing import Any

import pytest

import thalweg
from problems import tiny
from thalweg.analysis.selection import line_of
from thalweg.reports.figures.sweep import sweep
from thalweg.reports.page import render
from thalweg.rules.hyperparameters import Decay, Rate
from thalweg.rules.states import Zeros


@thalweg.rule(paper="mine", rates=(1e-3, 1e1), rate="eta")
def named(g, p, exp_avg: Zeros, t, *, eta: Rate = 0.1, beta: Decay = 0.5):  # type: ignore[no-untyped-def]
    """Averaged gradients."""
    exp_avg = beta * exp_avg + (1 - beta) * g
    return eta * exp_avg, exp_avg


def studied(*optimizers: Any, **options: Any) -> thalweg.Result:
    small = {"seeds": 2, "confirm_seeds": 2, "epochs": 1, "progress": False}
    return thalweg.compare(tiny(), list(optimizers), **{**small, **options})


def test_a_whole_study_reaches_its_report(tmp_path: Path) -> None:
    result = studied(named, "sgd", out=tmp_path)
    assert "Use " in result.verdict
    row = next(row for row in result.rows if row.contender == "named")
    assert {run.rate for run in result.runs if run.contender == "named"} == {"eta"}
    assert {run.rate for run in result.runs if run.contender == "sgd"} == {"lr"}
    panel = next(p for p in sweep(result.study, result.rows, result.runs).panels if p.contender == "named")
    assert [spot.rate for spot in panel.spots] == [p.learning_rate for p in row.tried]
    assert panel.others == ()
    assert row.good is not None
    stored = thalweg.stored(tmp_path)
    assert stored.runs == result.runs
    assert render(stored.study, stored.rows, stored.runs, stored.verdict) == (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("fixed", [{"beta": 0.1}, {"weight_decay": 0.1}])
def test_another_hyperparameter_that_equals_the_rate_everywhere(fixed: dict[str, float]) -> None:
    """One rate, the fixed value's own: what is the rate cannot be told from the values."""
    ours = thalweg.Contender(named, fixed, title="ours")
    result = studied(ours, "sgd(momentum=0.1)", learning_rates=[0.1])
    row = next(row for row in result.rows if row.contender == "ours")
    assert row.choice is not None
    assert row.choice.point.others == fixed
    assert "<svg" in render(result.study, result.rows, result.runs, result.verdict)


def test_the_other_hyperparameter_follows_the_rate() -> None:
    """Listed values, each equal to one of the rates: lines of their own, along the rate."""
    ours = thalweg.Contender(named, space={"beta": [0.1, 0.5]}, title="ours")
    result = studied(ours, learning_rates=[0.1, 0.5])
    (row,) = result.rows
    lines = {tuple(q.hyperparameters["eta"] for q in line_of(row.tried, p)) for p in row.tried}
    assert lines == {(0.1, 0.5)}
    assert len(sweep(result.study, result.rows, result.runs).panels[0].others) == 1


def test_a_space_of_rates_is_no_part_of_the_name() -> None:
    assert thalweg.Contender(named, space={"eta": [0.1, 0.5]}).label == "named"
    assert thalweg.Contender(named, space={"beta": [0.1, 0.5]}).label == "named(beta=…)"


@pytest.mark.parametrize("names", [["eta"], ["eta", "beta"], ["beta"]])
def test_searched(names: list[str]) -> None:
    pytest.importorskip("optuna", reason="the search extra is not installed")
    result = studied(named, tune=names, trials=4)
    tuning = [run for run in result.runs if run.role == "tuning"]
    assert {tuple(sorted(run.hyperparameters)) for run in tuning} == {tuple(sorted({"eta", *names}))}
    assert len({run.learning_rate for run in tuning}) == (4 if "eta" in names else 1)
    assert "<svg" in render(result.study, result.rows, result.runs, result.verdict)


def test_the_difference_of_two_studies_tells_the_rate_once() -> None:
    from thalweg.analysis.difference import difference
    from thalweg.reports.difference import lines

    one, two = studied(named, learning_rates=[0.1]), studied(named, learning_rates=[0.2])
    told = "\n".join(lines(difference((one.study, one.runs), (two.study, two.runs))))
    assert "named: eta" not in told
    assert "0.2" in told
