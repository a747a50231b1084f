"""Whole studies drawn from a planted truth: what is recommended and told apart, what does as well without tuning."""

from functools import cache

import numpy as np
import pytest
from suite import CHANCE, Suite, Truth

from scope import THOROUGH
from thalweg.analysis.leaderboard import Row, choices, leaderboard
from thalweg.analysis.recommendation import pick
from thalweg.analysis.verdict import verdict
from thalweg.records.types import StudyRecord

STUDIES = 200 if THOROUGH else 60
RATES = (1e-3, 1e-2)


def judged(suite: Suite) -> list[Row]:
    tuning = suite.tuning()
    return leaderboard(suite.record, [*tuning, *suite.confirmation(choices(suite.record, tuning))])


def drawn(seed: int, *truths: Truth) -> tuple[StudyRecord, list[Row]]:
    suite = Suite(seed, *truths, samples=10_000, rates=RATES)
    return suite.record, judged(suite)


@cache
def shaky(count: int) -> list[tuple[StudyRecord, list[Row]]]:
    """Studies of contenders each of whose final runs fails with probability 0.2; the better the shakier they look."""
    truths = [Truth(f"o{i}", accuracy=0.85 - 0.002 * i, dome=0.0, fails=0.2) for i in range(count)]
    return [drawn(seed, *truths) for seed in range(STUDIES)]


@pytest.mark.parametrize("count", [2, 4, 11])
def test_what_is_recommended_never_has_a_failed_final_run_while_another_has_none(count: int) -> None:
    sound = 0
    for _, rows in shaky(count):
        found, failing = pick(rows), {row.contender for row in rows if CHANCE in row.scores.values()}
        assert found is not None
        if len(failing) < count:
            assert found.contender not in failing
            sound += 1
    expected = 1 - (1 - 0.8**5) ** count
    assert sound / STUDIES == pytest.approx(expected, abs=3 * (expected * (1 - expected) / STUDIES) ** 0.5 + 1e-9)


@pytest.mark.parametrize(("count", "unnoticed"), [(2, 0.08), (4, 0.0), (11, 0.0)])
def test_failed_final_runs_are_named_and_next_to_no_others(count: int, unnoticed: float) -> None:
    """Up to three of five at chance level; of two contenders that both have such runs, the scatter is hardly known.
    Of the sound runs, those of fewer than one contender in a hundred are called failed."""
    missed = failing = wrong = 0
    for _, rows in shaky(count):
        for row in rows:
            planted = {seed for seed, score in row.scores.items() if score == CHANCE}
            wrong += bool(set(row.failed) - planted)
            if 0 < len(planted) <= 3:
                failing += 1
                missed += not planted <= set(row.failed)
    assert failing > 0.3 * STUDIES * count
    assert missed <= unnoticed * failing
    assert wrong <= 0.01 * STUDIES * count


@pytest.mark.parametrize("count", [2, 4, 11])
def test_of_identical_contenders_at_most_one_study_in_twenty_says_that_one_is_behind(count: int) -> None:
    """And two standard errors of that."""
    truths = [Truth(f"o{i}", dome=0.0) for i in range(count)]
    said = 0
    for seed in range(STUDIES):
        record, rows = drawn(1000 + seed, *truths)
        text = verdict(record, rows)
        said += "clearly behind" in text or "too little to matter" in text
    assert said <= 0.05 * STUDIES + 2 * (0.05 * 0.95 * STUDIES) ** 0.5


@pytest.mark.parametrize("count", [1, 2, 4])
def test_defaults_as_good_as_the_tuned_are_named_in_most_studies(count: int) -> None:
    truths = [Truth("best", accuracy=0.85, dome=0.0, untuned=0.85)]
    truths += [Truth(f"o{i}", accuracy=0.7, dome=0.0, untuned=0.6) for i in range(1, count)]
    named = 0
    for seed in range(STUDIES):
        record, rows = drawn(2000 + seed, *truths)
        text = verdict(record, rows)
        named += "Without tuning, best at its usual 1e-3 (" in text and "does as well." in text
        assert " o1 at its usual" not in text
    assert named >= 0.9 * STUDIES


def test_defaults_ten_points_worse_are_never_named() -> None:
    truths = [Truth("best", accuracy=0.85, dome=0.0, untuned=0.75), Truth("other", dome=0.0, untuned=0.7)]
    for seed in range(STUDIES):
        record, rows = drawn(3000 + seed, *truths)
        assert "Without tuning" not in verdict(record, rows)


def test_another_contender_s_defaults_may_do_as_well_as_the_best() -> None:
    """Two of three do, and no more than two are named: the recommended one's first, then the best."""
    names = ("a", "b", "c")
    truths = [Truth(name, accuracy=0.85, dome=0.0, untuned=0.85) for name in names]
    record, rows = drawn(0, *truths)
    assert all(row.untuned for row in rows)
    found = pick(rows)
    assert found is not None
    others = sorted((row for row in rows if row is not found), key=lambda row: -row.defaults.mean)  # type: ignore[union-attr]
    text = verdict(record, rows).split("Without tuning, ")[1]
    assert text.startswith(f"{found.contender} at its usual 1e-3 (")
    assert f" and {others[0].contender} at its usual 1e-3 (" in text
    assert "do as well." in text
    assert text.split("do as well.")[0].count("usual") == 2


def test_the_good_range_is_where_it_was_planted() -> None:
    """At most a quarter of the error of 0.2 may be lost, usually about 0.025: √(0.025 / dome) decades to either side.
    The median width is that within one and a half steps of the grid, of half a decade."""
    widths = []
    for seed in range(60):
        suite = Suite(seed, Truth("a", best=1e-2, dome=0.02), Truth("b", best=1e-2, dome=0.02, accuracy=0.79))
        rows = judged(suite)
        assert all(row.good is not None for row in rows)
        widths += [row.good.decades for row in rows if row.good]
        assert all(row.good.low <= (row.learning_rate or 0) <= row.good.high for row in rows if row.good)
    assert np.median(widths) == pytest.approx(2 * (0.025 / 0.02) ** 0.5, abs=0.76)
