"""The leaderboard: order, groups, and every number of a row, computed by hand."""

import time
from dataclasses import replace

import numpy as np
import pytest
from handwritten import confirmed, curve, finals, run, study, tuning

from thalweg.analysis.leaderboard import leaderboard

A = [0.90, 0.92, 0.94, 0.96, 0.98]
LITTLE = (0.001, -0.001, 0.0, 0.0005, -0.0005)


def test_ranking_is_by_test_and_ties_are_paired() -> None:
    """b trails a by 0.01 on every seed though their spreads overlap: no tie. c trails by noise: a tie."""
    c = [x - 0.0001 + e for x, e in zip(A, LITTLE, strict=True)]
    runs = finals("c", c) + finals("a", A) + finals("b", [x - 0.01 for x in A])
    rows = leaderboard(study("c", "a", "b", confirmation=5), runs)
    assert [row.contender for row in rows] == ["a", "c", "b"]
    assert [row.rank for row in rows] == [1, 2, 3]
    assert [row.tied for row in rows] == [True, True, False]
    assert [row.group for row in rows] == [1, 1, 2]
    assert rows[2].behind is not None
    assert rows[2].behind.mean == pytest.approx(0.01)
    assert rows[2].improvement == pytest.approx((4 + 3 + 2 + 1) / 25)
    assert rows[0].improvement == 0.5
    assert rows[0].iqm == pytest.approx(0.94)
    assert rows[0].stars.quality == rows[1].stars.quality == 3
    assert rows[2].stars.quality == 1  # 1.06% behind


def test_lower_is_better_turns_everything_round() -> None:
    runs = finals("a", [0.2, 0.21, 0.22]) + finals("b", [0.1, 0.11, 0.12])
    rows = leaderboard(study("a", "b", confirmation=3, metric="mse", higher_is_better=False, target=None), runs)
    assert [row.contender for row in rows] == ["b", "a"]
    assert rows[1].behind is not None
    assert rows[1].behind.mean == pytest.approx(0.1)
    assert rows[1].improvement == 0.0
    assert rows[1].stars.speed is None
    assert rows[1].curse == pytest.approx(-0.29)  # tuning at 0.5 looked worse, not better


def test_a_contender_that_diverged_when_confirmed_ranks_last() -> None:
    rows = leaderboard(study("a", "b", confirmation=2), finals("a", [0.99, None]) + finals("b", [0.5, 0.5]))
    assert [row.contender for row in rows] == ["b", "a"]
    assert [row.whole for row in rows] == [True, False]
    assert [row.group for row in rows] == [1, 2]
    assert (rows[1].diverged, rows[1].trained, rows[1].diverged_share) == (1, 5, 0.2)
    assert rows[1].failures == {"diverged": 1}
    assert not rows[1].tied
    assert rows[1].behind is None
    assert rows[1].stars.quality == 1


def test_a_contender_that_failed_when_confirmed_ranks_last_too() -> None:
    broken = [replace(r, failure="out of memory") if r.seed == 1001 else r for r in finals("a", [0.99, 0.99])]
    rows = leaderboard(study("a", "b", confirmation=2), broken + finals("b", [0.5, 0.5]))
    assert [row.contender for row in rows] == ["b", "a"]
    assert rows[1].failures == {"out of memory": 1}
    assert rows[1].score.count == 1


def test_a_contender_without_any_run_has_a_row() -> None:
    rows = leaderboard(study("ghost", "a", confirmation=3), finals("a", [0.9, 0.91, 0.92]))
    assert [row.contender for row in rows] == ["a", "ghost"]
    ghost = rows[1]
    assert (ghost.optimizer, ghost.trained, ghost.runs, ghost.seconds, ghost.tried) == ("ghost", 0, 0, 0.0, ())
    assert (ghost.stars.speed, ghost.stars.quality, ghost.improvement, ghost.choice) == (None, None, None, None)
    assert not ghost.tied
    assert len(leaderboard(study("ghost", "spirit"), [])) == 2


def test_without_confirmation_validation_of_the_choice_ranks() -> None:
    runs = tuning({1e-3: [0.9, 0.91, 0.9], 1e-2: [0.5] * 3}, "a")
    runs += tuning({1e-3: [0.95, 0.96, 0.97], 1e-2: [0.1] * 3}, "b")
    rows = leaderboard(study("a", "b"), runs)
    assert [row.contender for row in rows] == ["b", "a"]
    assert rows[0].test is None
    assert rows[0].score == rows[0].validation
    assert rows[0].validation.mean == pytest.approx(0.96)
    assert rows[0].runs == 3
    assert rows[0].curse is None


def test_one_seed_ties_whatever_finished() -> None:
    rows = leaderboard(study("a", "b", confirmation=1), finals("a", [0.9]) + finals("b", [0.1]))
    assert [row.tied for row in rows] == [True, True]


def test_seeds_are_paired_whatever_the_order_of_the_records() -> None:
    runs = finals("a", A) + finals("b", [x - 0.01 for x in A])
    whole = leaderboard(study("a", "b", confirmation=5), runs)
    assert leaderboard(study("a", "b", confirmation=5), runs[::-1]) == whole
    assert whole[1].group == 2


def test_a_test_metric_that_is_missing_is_not_replaced_by_validation() -> None:
    lost = [replace(r, test_metric=None) if r.seed == 1001 else r for r in finals("a", [0.99, 0.99])]
    rows = leaderboard(study("a", "b", confirmation=2), lost + finals("b", [0.5, 0.5]))
    assert [row.contender for row in rows] == ["b", "a"]
    assert not rows[1].whole


def test_the_defaults_are_compared_seed_by_seed() -> None:
    defaults = [
        run(0.001, 1000 + i, x - 0.02, role="defaults", contender="a", test_metric=x - 0.02) for i, x in enumerate(A)
    ]
    (row,) = leaderboard(study("a", confirmation=5), finals("a", A) + defaults)
    assert row.default_learning_rate == 0.001
    assert row.defaults is not None
    assert row.defaults.mean == pytest.approx(0.92)
    assert row.tuning_gain is not None
    assert (row.tuning_gain.low, row.tuning_gain.high) == (pytest.approx(0.02), pytest.approx(0.02))


def test_a_row_carries_the_way_there() -> None:
    fresh = [
        replace(r, curve=curve(0.85, 0.95, r.validation_metric), train_metric=0.99, best_test_metric=0.93, seconds=10.0)
        for r in confirmed("a", [0.90, 0.91, 0.92])
    ]
    runs = tuning({0.01: [0.5] * 3, 0.1: [0.93, 0.95, 0.94], 1.0: [None] * 3}, "a", memory=64) + fresh
    (row,) = leaderboard(study("a", confirmation=3, caps={"runs": 12}, learning_rates={"a": (0.01, 1.0)}), runs)
    assert (row.steps_to_target, row.reached, row.runs) == (20, 3, 3)
    assert (row.target.steps, row.target.epochs, row.target.seconds) == (20, 2.0, pytest.approx(2.0))
    assert row.gap is not None
    assert row.gap.mean == pytest.approx(0.08)
    assert row.best_validation is not None
    assert row.best_validation.mean == pytest.approx(0.95)
    assert row.best_test is not None
    assert row.best_test.mean == pytest.approx(0.93)
    assert row.curse == pytest.approx(0.03)
    assert row.spent.unspent_runs == 3
    assert row.cost.memory == 64
    assert row.late_gain is not None
    assert row.late_gain.mean < 0
    assert row.good is not None
    assert (row.good.low, row.good.high, row.good.decades) == (0.1, 0.1, 0.0)
    assert (row.good.least, row.good.most) == (0.0, 0.0)
    assert row.expected == pytest.approx((0.72 + 0.72) / 2)
    assert row.stars.speed == 3


def test_a_leaderboard_of_eleven_takes_well_under_a_second() -> None:
    rng = np.random.default_rng(0)
    names = [f"o{i}" for i in range(11)]
    runs = [r for name in names for r in finals(name, list(rng.normal(0.9, 0.01, 5)), train_metric=0.99)]
    runs += [r for name in names for r in tuning({10.0**-i: [0.5, 0.6, 0.4] for i in range(2, 14)}, name)]
    record = study(*names, confirmation=5)
    leaderboard(record, runs)  # imports scipy
    began = time.perf_counter()
    leaderboard(record, runs)
    assert time.perf_counter() - began < 1.0
