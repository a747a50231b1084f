"""The leaders of a study so far, by its events and by its runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from records_fixture import RUN, STEPS, STUDY
from thalweg.analysis.leaders import Leaders
from thalweg.records.events import Finished, Measured, PlannedRun, StageBegan
from thalweg.records.types import Leader, Measurement, RunRecord


def run(contender: str, rate: float, seed: int, metric: float | None, **changed: Any) -> RunRecord:
    curve = (Measurement(STEPS, 0.5, 0.5, metric),)
    return replace(RUN, contender=contender, hyperparameters={"lr": rate}, seed=seed, curve=curve, **changed)


def planned(*runs: RunRecord) -> StageBegan:
    entries = tuple(PlannedRun(r.contender, r.hyperparameters, r.rate, r.seed, r.role, r.round) for r in runs)
    return StageBegan("tuning, coarse", 0, len(entries), STEPS, entries)


def point(metric: float | None) -> Measurement:
    return Measurement(50, 0.5, 0.5, metric)


def told(leaders: Leaders) -> list[tuple[str, float | None, tuple[float, ...], str]]:
    return [(leader.contender, leader.learning_rate, leader.values, leader.kind) for leader in leaders.best()]


def test_the_best_mean_of_each_contender_leads() -> None:
    """Against means by NumPy over random metrics."""
    random = np.random.default_rng(0)
    metrics = random.random((3, 4, 2))  # contender, rate, seed
    leaders = Leaders(STUDY)
    for i, name in enumerate("abc"):
        for j in range(4):
            for seed in range(2):
                leaders.follow(Finished({i * 8 + j * 2 + seed: run(name, 0.1 * (j + 1), seed, metrics[i, j, seed])}))
    means = metrics.mean(2)
    found = leaders.best()
    assert [leader.contender for leader in found] == ["abc"[i] for i in np.argsort(-means.max(1))]
    for leader in found:
        i = "abc".index(leader.contender)
        assert leader.learning_rate == pytest.approx(0.1 * (int(means[i].argmax()) + 1))
        assert leader.mean == pytest.approx(means[i].max())
        assert len(leader.values) == 2


def test_lower_may_be_better() -> None:
    leaders = Leaders(replace(STUDY, metric="mse", higher_is_better=False))
    for of in (run("a", 0.1, 0, 0.5), run("a", 0.2, 0, 0.3), run("b", 0.1, 0, 0.2)):
        leaders.add(of)
    assert told(leaders) == [("b", 0.1, (0.2,), "tuning"), ("a", 0.2, (0.3,), "tuning")]


@pytest.mark.parametrize(
    "broken",
    [
        run("a", 0.1, 1, None),  # its metric was NaN
        run("a", 0.1, 1, 0.99, diverged_at=50),
        run("a", 0.1, 1, 0.99, failure="ValueError: no"),
    ],
)
def test_a_rate_at_which_a_run_broke_off_leads_nothing(broken: RunRecord) -> None:
    leaders = Leaders(STUDY)
    leaders.add(run("a", 0.1, 0, 0.9))
    assert told(leaders) == [("a", 0.1, (0.9,), "tuning")]
    leaders.add(broken)
    assert told(leaders) == []
    leaders.add(run("a", 0.2, 0, 0.5))
    assert told(leaders) == [("a", 0.2, (0.5,), "tuning")]


def test_runs_in_training_lead_until_one_has_ended() -> None:
    runs = [run("a", 0.1, 0, 0.9), run("a", 0.1, 1, 0.9), run("b", 0.1, 0, 0.9), run("c", 0.1, 0, 0.9)]
    leaders = Leaders(STUDY)
    leaders.follow(planned(*runs))
    assert told(leaders) == []
    leaders.follow(Measured(50, {0: point(0.5), 1: point(0.6), 2: point(0.8), 3: point(None)}))
    assert told(leaders) == [("b", 0.1, (0.8,), "training"), ("a", 0.1, (0.5, 0.6), "training")]
    leaders.follow(Measured(60, {0: point(0.9), 1: point(0.9), 2: None, 3: None}))
    assert told(leaders) == [("a", 0.1, (0.9, 0.9), "training")], "b diverged"
    leaders.follow(Finished({2: run("b", 0.1, 0, 0.4)}))
    assert told(leaders) == [("b", 0.1, (0.4,), "tuning")], "what is not finished is no longer compared"


def test_a_run_that_stopped_early_leads_while_the_others_train() -> None:
    leaders = Leaders(replace(STUDY, plan={"early_stopping": {"patience": 5}}))
    leaders.follow(planned(run("a", 0.1, 0, 0.9)))
    leaders.follow(Measured(50, {0: point(0.5)}))
    leaders.follow(Measured(60, {0: None}))
    assert told(leaders) == [("a", 0.1, (0.5,), "training")]


def test_a_stage_forgets_what_was_measured_in_the_one_before() -> None:
    leaders = Leaders(STUDY)
    leaders.follow(planned(run("a", 0.1, 0, 0.9)))
    leaders.follow(Measured(50, {0: point(0.5)}))
    leaders.follow(planned(run("b", 0.1, 0, 0.9)))
    assert told(leaders) == []
    leaders.follow(Measured(50, {0: point(0.7)}))
    assert told(leaders) == [("b", 0.1, (0.7,), "training")]


def test_fresh_seeds_lead_once_there_are_any() -> None:
    leaders = Leaders(STUDY)
    leaders.add(run("a", 0.1, 0, 0.9))
    leaders.add(run("a", 0.3, 1000, 0.95, role="defaults"))
    assert told(leaders) == [("a", 0.1, (0.9,), "tuning")], "published defaults lead nothing"
    leaders.add(run("a", 0.1, 1000, 0.8, role="confirmation"))
    assert told(leaders) == [("a", 0.1, (0.8,), "confirmation")]


def test_events_without_planned_runs_are_no_error() -> None:
    leaders = Leaders(STUDY)
    leaders.follow(StageBegan("tuning, coarse", 0, 1, STEPS))
    leaders.follow(Measured(50, {0: point(0.5)}))
    assert leaders.best() == ()


def test_contenders_without_a_rate() -> None:
    leaders = Leaders(STUDY)
    leaders.add(replace(RUN, hyperparameters={"eps": 1e-8}, rate=None))
    assert leaders.best() == (Leader("adam", None, (0.9,), "tuning"),)


def test_the_same_runs_in_any_order_lead_alike() -> None:
    runs: Sequence[RunRecord] = [
        run(c, r, s, (hash((c, r, s)) % 97) / 97) for c in "ab" for r in (1.0, 2.0) for s in (0, 1)
    ]
    forward, backward = Leaders(STUDY), Leaders(STUDY)
    for one, other in zip(runs, reversed(runs), strict=True):
        forward.add(one)
        backward.add(other)
    assert set(told(forward)) == set(told(backward))
