"""Caps count gradient evaluations: a configuration that takes two in a step counts twice."""

from dataclasses import replace

import pytest
import torch

import thalweg
from problems import tiny
from thalweg.analysis.cost import spent
from thalweg.errors import InputError
from thalweg.studies.contenders import Contender
from thalweg.studies.search import SearchTuner
from thalweg.studies.tuning import EXTENSIONS, FINE, GridTuner, cap_of


def test_evaluations_of_a_configuration() -> None:
    plain, sharp, searched = Contender("sgd"), Contender("sgd(sam=0.1)"), Contender("sgd", space={"sam": [0, 0.1]})
    assert plain.evaluations({"lr": 0.1}) == 1
    assert sharp.evaluations({"lr": 0.1, "sam": 0.1}) == 2
    assert [searched.evaluations({"lr": 0.1, "sam": radius}) for radius in (0, 0.1)] == [1, 2]
    assert Contender("torch.optim:SGD").evaluations({"lr": 0.1}) == 1


def test_the_cap_is_the_need_of_the_most_expensive_grid() -> None:
    plain, sharp, muon = (Contender(name) for name in ("sgd", "sgd(sam=0.1)", "moonlight"))
    grids = [len(c.configurations(None)) for c in (plain, sharp, muon)]
    reserve = EXTENSIONS + FINE
    assert cap_of([plain, muon], None, 2, fine=True) == max(grids[0], grids[2]) + reserve
    assert cap_of([plain, sharp], None, 2, fine=True) == 2 * (grids[1] + reserve)
    assert cap_of([plain, sharp], [0.1, 0.2], 2, fine=True) == 4


def test_a_tuner_spends_two_on_a_configuration_that_takes_two() -> None:
    tuner = GridTuner(Contender("sgd(sam=0.1)"), [0.1, 0.2, 0.3], 5, higher_is_better=True)
    assert [given["lr"] for given in tuner.next([])[1]] == [0.1, 0.2]


def test_a_search_spends_two_on_a_trial_that_takes_two() -> None:
    pytest.importorskip("optuna")
    for name, expected in (("sgd", 5), ("sgd(sam=0.1)", 2)):
        tuner = SearchTuner(Contender(name), ["lr"], 5, 0, higher_is_better=True)
        assert len(tuner.next([])[1]) == expected


def test_a_study_records_them() -> None:
    workload = tiny(torch.float64, epochs=1)
    result = thalweg.compare(
        workload, ["sgd", "sgd(sam=0.1)", "torch.optim:LBFGS(max_iter=2)"], [0.01, 0.1], seeds=1, confirm_seeds=1,
        progress=False,
    )  # fmt: skip
    steps = workload.total_steps
    tried = [run for run in result.runs if run.role != "defaults"]
    by = {name: [run for run in tried if run.contender == name] for name in result.study.contenders}
    assert {run.evaluations for run in by["sgd"]} == {steps}
    assert {run.evaluations for run in by["sgd(sam=0.1)"]} == {2 * steps}
    assert all(steps < run.evaluations <= 3 * steps for run in by["torch.optim:LBFGS(max_iter=2)"] if not run.broke)
    assert result.study.caps == {"runs": 4, "evaluations": 4 * steps, "seconds": None}
    assert spent(result.study, by["sgd(sam=0.1)"]).unspent_evaluations == 0
    old = replace(result.study, caps={"runs": 4, "steps": 4 * steps, "seconds": None})
    assert spent(old, [replace(run, evaluations=None) for run in by["sgd"]]).unspent_evaluations == 2 * steps


def test_fewer_trials_than_evaluations_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"sgd\(sam=0.1\) takes 2 gradient evaluations .* give at least 2 trials, got 1"
    ):
        SearchTuner(Contender("sgd(sam=0.1)"), ["lr"], 1, 0, higher_is_better=True)


def test_a_search_says_that_it_had_fewer_trials() -> None:
    tuner = SearchTuner(Contender("sgd(sam=0.1)"), ["lr"], 5, 0, higher_is_better=True)
    assert (len(tuner.next([])[1]), tuner.notes) == (
        2, ["sgd(sam=0.1): a step takes 2 gradient evaluations, so that it had fewer trials."],
    )  # fmt: skip
