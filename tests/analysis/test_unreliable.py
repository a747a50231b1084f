"""Contenders of which a final run failed: behind all others, in no tie, never recommended while another is reliable."""

import pytest
from handwritten import finals, run, study

from thalweg.analysis.leaderboard import Row, leaderboard
from thalweg.analysis.recommendation import pick
from thalweg.analysis.verdict import verdict
from thalweg.reports.terminal import lines

GOOD = [0.970, 0.972, 0.969, 0.971, 0.973]
FAIR = [0.950, 0.952, 0.949, 0.951, 0.953]
POOR = [0.700, 0.702, 0.699, 0.701, 0.703]
FAILED = [0.990, 0.992, 0.10, 0.991, 0.993]


def judged(**scores: list[float | None]) -> tuple[dict[str, Row], str]:
    """Rows by name, best first, and the verdict."""
    record = study(*scores, confirmation=5)
    rows = leaderboard(record, [run for name, each in scores.items() for run in finals(name, each)])
    return {row.contender: row for row in rows}, verdict(record, rows)


def test_it_ranks_behind_the_poorest_that_is_reliable() -> None:
    rows, text = judged(shaky=FAILED, poor=POOR, good=GOOD, fair=FAIR)
    assert list(rows) == ["good", "fair", "poor", "shaky"]
    assert [row.rank for row in rows.values()] == [1, 2, 3, 4]
    assert [row.group for row in rows.values()] == [1, 2, 3, 4]
    shaky = rows["shaky"]
    assert (shaky.reliable, shaky.whole, shaky.failed, shaky.tied) == (False, True, (1002,), False)
    assert shaky.stars.quality == 1
    assert text.startswith("Use good at learning rate 0.1: ")
    assert "shaky is unreliable: 1 of 5 final runs failed to train (10.0% against a median of 99.2%)." in text
    assert "The first clearly behind is fair" in text


def test_even_a_mean_that_is_the_best_of_all_recommends_nothing_unreliable() -> None:
    """Its mean with the failed run is above the others' all the same."""
    rows, text = judged(shaky=[0.990, 0.992, 0.75, 0.991, 0.993], poor=POOR)
    assert rows["shaky"].score.mean > rows["poor"].score.mean
    assert list(rows) == ["poor", "shaky"]
    assert text.startswith("Use poor")
    assert not rows["shaky"].tied


def test_all_that_are_unreliable_form_the_last_group() -> None:
    """Those that finished rank before those that broke off, by mean; two behind one another are in it, too."""
    rows, _ = judged(broken=[0.99, None, 0.99, 0.99, 0.99], a=FAILED, b=[0.6, 0.602, 0.601, 0.1, 0.603], good=GOOD)
    assert list(rows) == ["good", "a", "b", "broken"]
    assert [row.group for row in rows.values()] == [1, 2, 2, 2]
    assert [row.stars.quality for row in rows.values()] == [3, 1, 1, 1]
    assert [row.tied for row in rows.values()] == [True, False, False, False]


def test_it_does_not_move_what_the_others_are_told_apart_by() -> None:
    alone, _ = judged(good=GOOD, fair=FAIR)
    beside, _ = judged(good=GOOD, fair=FAIR, shaky=FAILED)
    for name in ("good", "fair"):
        assert alone[name].group == beside[name].group
        assert alone[name].behind == beside[name].behind
        assert alone[name].good == beside[name].good


def test_where_all_are_unreliable_the_first_is_recommended_and_said_to_be() -> None:
    rows, text = judged(a=FAILED, b=[0.95, 0.952, 0.1, 0.11, 0.953])
    assert list(rows) == ["a", "b"]
    assert pick(list(rows.values())) is rows["a"]
    assert text.startswith("Use a at learning rate 0.1")
    assert "a is unreliable: 1 of 5 final runs failed to train" in text
    assert "b is unreliable: 2 of 5 final runs failed to train (10.0%, 11.0% against a median of 95.2%)." in text
    assert "not separated" not in text
    assert "clearly behind" not in text
    assert [row.stars.quality for row in rows.values()] == [1, 1]


def test_a_single_unreliable_one() -> None:
    rows, text = judged(a=FAILED)
    assert pick(list(rows.values())) is rows["a"]
    assert "a is unreliable: 1 of 5 final runs failed to train (10.0% against a median of 99.2%)." in text


def test_what_broke_off_and_what_ended_low_are_both_said() -> None:
    _, text = judged(shaky=[0.99, None, 0.1, 0.991, 0.992], good=GOOD)
    said = "shaky is unreliable: 2 of 5 final runs failed to train (1 broke off; 10.0% against a median of 99.1%)."
    assert said in text


def test_a_contender_of_which_every_final_run_failed_is_said_once() -> None:
    _, text = judged(lost=[None] * 5, good=GOOD)
    assert "No final run of lost finished." in text
    assert "unreliable" not in text


def test_the_table_marks_it() -> None:
    record = study("good", "shaky", confirmation=5)
    rows = leaderboard(record, [*finals("good", GOOD), *finals("shaky", FAILED)])
    _, good, shaky, legend = lines(record, rows)
    assert good.split()[0] == "1"
    assert shaky.split()[0] == "2!"
    assert legend == "! unreliable: a final run failed to train"


@pytest.mark.parametrize("failing", [0, 2, 4])
def test_defaults_that_fail_to_train_do_not_do_as_well(failing: int) -> None:
    published = [run(1e-3, 1000 + i, x, "good", "defaults", test_metric=x) for i, x in enumerate(GOOD)]
    record = study("good", confirmation=5)
    (row,) = leaderboard(record, [*finals("good", GOOD), *published])
    assert row.untuned
    low = [
        run(1e-3, r.seed, 0.1, "good", "defaults", test_metric=0.1) if r.seed == 1000 + failing else r
        for r in published
    ]
    (row,) = leaderboard(record, [*finals("good", GOOD), *low])
    assert not row.untuned
    broke = [run(1e-3, r.seed, None, "good", "defaults") if r.seed == 1000 + failing else r for r in published]
    (row,) = leaderboard(record, [*finals("good", GOOD), *broke])
    assert not row.untuned
    (row,) = leaderboard(record, [*finals("good", GOOD), *[r for r in published if r.seed != 1000 + failing]])
    assert not row.untuned
