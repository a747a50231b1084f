"""The JSON and the data frame against numbers computed by hand."""

import json
import math
from typing import Any

import pytest
from handmade import finals, rates, run, study
from pairs import MADE, Made, known, never_ran, sensitive_first, unconfirmed

from thalweg.analysis import outliers, stars, ties
from thalweg.analysis.caveats import doubts
from thalweg.analysis.leaderboard import leaderboard
from thalweg.analysis.recommendation import pick
from thalweg.reports.facts import dataframe, facts


def told(made: Made) -> dict[str, Any]:
    """As it comes back from a file."""
    record, runs = made
    return json.loads(json.dumps(facts(record, leaderboard(record, runs), "Use it."), allow_nan=False))


@pytest.fixture(scope="module")
def adam() -> dict[str, Any]:
    return told(known())["leaderboard"][0]


def test_the_study_is_told() -> None:
    record, runs = known()
    whole = told((record, runs))
    assert (whole["protocol"], whole["verdict"], whole["pick"], whole["target"]) == (2, "Use it.", "adam", 0.85)
    assert whole["caps"] == {"runs": 10, "steps": 200, "seconds": None}
    assert whole["notes"] == ["The budget allowed 2 of 5 confirmation seeds."]
    assert whole["doubts"] == doubts(record, leaderboard(record, runs)) != []
    assert (whole["tie_rule"], whole["star_rule"], whole["failure_rule"]) == (ties.RULE, stars.RULE, outliers.RULE)
    assert whole["seeds"] == {"tuning": [0, 1], "confirmation": [1000, 1001]}


def test_place_and_score(adam: dict[str, Any]) -> None:
    assert (adam["rank"], adam["group"], adam["whole"], adam["learning_rate"]) == (1, 1, True, 0.1)
    assert adam["score"]["mean"] == pytest.approx(0.89)
    assert adam["score"] == adam["test"]
    assert adam["best_validation"]["mean"] == pytest.approx(0.89)
    assert adam["defaults"]["learning_rate"] == 0.001
    assert adam["defaults"]["test"] == adam["defaults"]["score"]
    assert adam["defaults"]["score"]["mean"] == pytest.approx(0.72)
    assert adam["tuning_gain"]["mean"] == pytest.approx((0.18 + 0.16) / 2)
    assert (adam["iqm"], adam["improvement"]) == (pytest.approx(0.89), 0.5)
    assert (adam["plateau"], adam["edge"]) == ([0.1, 0.1], None)


def test_trust(adam: dict[str, Any]) -> None:
    assert adam["gap"]["mean"] == pytest.approx((0.07 + 0.05) / 2)
    assert adam["curse"] == pytest.approx(0.90 - 0.89)
    assert adam["failures"] == {"diverged": 1}
    assert adam["diverged_share"] == pytest.approx(1 / 10)
    trapezoid = (0.80 + 0.90) / 4 + (0.90 + 0.70) / 4  # the run that broke counts as the worst, 0.70
    assert adam["expected"] == pytest.approx(trapezoid)
    assert adam["good_range"] == {"low": 0.1, "high": 0.1, "least": 0, "most": 0, "decades": 0}
    assert (adam["reliable"], adam["failed_seeds"]) == (True, [])
    assert adam["scores"] == {"1000": 0.88, "1001": 0.90}
    assert adam["late_gain"]["mean"] == pytest.approx((0.38 + 0.40) / 2 * 0.2)  # a tenth of 20 steps, of 10 between
    assert adam["late_gain"]["still_improving"]


def test_cost(adam: dict[str, Any]) -> None:
    assert adam["target"] == {"steps": 20, "epochs": 2, "seconds": 2, "reached": 2, "runs": 2}
    assert adam["cost"] == {"seconds_per_step": pytest.approx(0.1), "memory": 2048, "shared": False}
    assert adam["spent"] == {
        "runs": 6, "evaluations": 5 * 20 + 11, "seconds": 12, "unspent_runs": 4, "unspent_evaluations": 89,
        "unspent_seconds": None,
    }  # fmt: skip


def test_stars_and_what_lies_behind(adam: dict[str, Any]) -> None:
    sgd = told(known())["leaderboard"][1]
    assert adam["stars"] == {"speed": 3, "quality": 3}
    assert sgd["stars"] == {"speed": 1, "quality": 1}
    assert (sgd["group"], sgd["improvement"], sgd["target"]["reached"]) == (2, 0, 0)
    assert sgd["behind_first"]["mean"] == pytest.approx(0.38)


def test_the_pick_need_not_be_the_first() -> None:
    whole = told(sensitive_first())
    assert [row["optimizer"] for row in whole["leaderboard"]] == ["adam", "sgd"]
    assert whole["pick"] == "sgd"


def test_a_contender_without_any_run() -> None:
    ghost = told(never_ran())["leaderboard"][1]
    assert (ghost["optimizer"], ghost["score"], ghost["trained"], ghost["failures"]) == ("ghost", None, 0, {})
    assert ghost["spent"]["runs"] == 0


def test_without_confirmation_or_test_split() -> None:
    adam = told(unconfirmed())["leaderboard"][0]
    assert (adam["test"], adam["curse"], adam["tuning_gain"]) == (None, None, None)
    assert adam["score"] == adam["validation"]
    untested = [run(0.1, 0, 0.9), run(0.1, 1000, 0.8, "confirmation", test_metric=None)]
    untested.append(run(0.2, 1000, 0.7, "defaults", test_metric=None))
    row = told((study(samples={"train": 80, "validation": 20}), untested))["leaderboard"][0]
    assert (row["defaults"]["test"], row["defaults"]["score"]["mean"]) == (None, 0.7)


def test_nothing_finished() -> None:
    whole = told((study(), [*rates({0.1: (None, None)}), *finals((None, None), 0.1)]))
    assert (whole["pick"], whole["doubts"], whole["leaderboard"][0]["score"]) == (None, [], None)


def test_numbers_that_are_not_finite_are_null() -> None:
    odd = {"lr": 0.1, "bounds": (math.inf, 1.0)}
    runs = [run(0.1, 0, 0.9, hyperparameters=odd)]
    whole = told((study(tuning_seeds=(0,), confirmation_seeds=(), environment={"load": math.nan}), runs))
    assert whole["leaderboard"][0]["hyperparameters"] == {"lr": 0.1, "bounds": [None, 1.0]}
    assert whole["environment"] == {"load": None}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE.keys())
def test_the_data_frame_has_the_same_numbers(make: Any) -> None:
    record, runs = make()
    rows = leaderboard(record, runs)
    frame = dataframe(rows)
    assert list(frame["optimizer"]) == [row.contender for row in rows]
    assert list(frame["group"]) == [row.group for row in rows]
    assert list(frame["memory"]) == [row.cost.memory for row in rows]
    wanted = {
        "iqm", "curse", "gap", "good_low", "good_high", "reliable", "recommended", "expected",
        "stars_speed", "stars_quality", "seconds_per_step",
    }  # fmt: skip
    assert wanted <= set(frame.columns)
    assert list(frame["recommended"]) == [row is pick(rows) for row in rows]
    assert [None if math.isnan(low) else low for low in frame["good_low"].astype(float)] == [
        row.good.low if row.good else None for row in rows
    ]
