"""A choice from few seeds: what it never rests on, by brute force over tables of scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from handwritten import confirmed, finals, run, study, tuning
from hypothesis import given, settings
from hypothesis import strategies as st

from records_fixture import STEPS
from thalweg.analysis.leaderboard import leaderboard
from thalweg.analysis.selection import Choice, choose, points
from thalweg.analysis.verdict import verdict
from thalweg.records.types import Measurement, RunRecord

Table = Mapping[float, Sequence[float | None]]  # rate → metric of seeds 0, 1, …

SCORES = st.one_of(st.none(), st.integers(0, 8).map(lambda k: k / 8), st.floats(0, 1))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    seeds, rates = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    return {10.0 ** (i - 4): draw(st.lists(SCORES, min_size=seeds, max_size=seeds)) for i in range(rates)}


def chosen(table: Table, *, higher_is_better: bool = True) -> Choice | None:
    return choose(points(tuning(table)), higher_is_better=higher_is_better)


def beaten_everywhere(table: Table, rate: float, *, higher_is_better: bool) -> bool:
    """Straight from the sentence: another rate finished with every seed, and is better on each."""
    own = [m for m in table[rate] if m is not None]
    others = [[m for m in row if m is not None] for other, row in table.items() if other != rate]
    whole = [row for row in others if len(row) == len(own)]
    if higher_is_better:
        return any(all(b > a for a, b in zip(own, row, strict=True)) for row in whole)
    return any(all(b < a for a, b in zip(own, row, strict=True)) for row in whole)


@settings(max_examples=400)
@given(tables(), st.booleans())
def test_no_choice_is_worse_on_every_seed_than_another_rate(table: Table, higher: bool) -> None:
    choice = chosen(table, higher_is_better=higher)
    whole = [rate for rate, row in table.items() if None not in row]
    if not whole:
        assert choice is None
        return
    assert choice is not None
    rate = choice.point.learning_rate
    assert rate in whole
    assert not beaten_everywhere(table, rate, higher_is_better=higher)
    if choice.plateau is not None:
        low, high = choice.plateau
        assert low <= rate <= high
        assert all(None not in row for r, row in table.items() if low <= r <= high)


@settings(max_examples=200)
@given(tables(), st.integers(0, 3))
def test_nor_where_a_budget_cut_some_rates_short(table: Table, seeds: int) -> None:
    """Rates that ran with fewer seeds beat none that ran with more, so there is always a choice."""
    cut = {rate: row[: 1 + seeds] if i % 2 else row for i, (rate, row) in enumerate(table.items())}
    choice = chosen(cut)
    whole = {rate: row for rate, row in cut.items() if None not in row}
    assert (choice is None) == (not whole)
    if choice is not None:
        own = whole[choice.point.learning_rate or 0.0]
        as_long = [row for row in whole.values() if len(row) >= len(own)]
        assert not any(all(b > a for a, b in zip(own, row, strict=False)) for row in as_long)  # type: ignore[operator]


@pytest.mark.parametrize("rates", [2, 3, 5, 9])
@pytest.mark.parametrize("at", [0, 1, -1])
def test_one_noisy_best_rate_with_two_seeds_makes_no_plateau_of_the_grid(rates: int, at: int) -> None:
    """All others agree to 0.002 and rise slowly; the best is 0.05 above them, its seeds 0.3 apart."""
    table = {10.0 ** (i - 6): [0.7 + 0.004 * i, 0.702 + 0.004 * i] for i in range(rates)}
    best = list(table)[at]
    table[best] = [0.95, 0.65]
    choice = chosen(table)
    assert choice is not None
    assert choice.point.learning_rate == best
    assert choice.plateau == (best, best)


def test_two_seeds_of_the_best_that_agree_by_chance_leave_the_plateau_to_its_neighbours_noise() -> None:
    table = {1e-4: [0.2, 0.2], 1e-3: [0.93, 0.89], 1e-2: [0.915, 0.915], 1e-1: [0.89, 0.93], 1.0: [0.2, 0.3]}
    choice = chosen(table)
    assert choice is not None
    assert choice.plateau == (1e-3, 1e-1)


def test_a_middle_that_another_rate_beats_on_every_seed_gives_way_to_the_nearest_that_none_beats() -> None:
    table = {
        1e-4: [0.1] * 3,
        1e-3: [0.95, 0.90, 0.92],
        1e-2: [0.945, 0.895, 0.915],
        1e-1: [0.90, 0.97, 0.93],
        1.0: [0.1] * 3,
    }
    choice = chosen(table)
    assert choice is not None
    assert choice.plateau == (1e-3, 1e-1)
    assert choice.point.learning_rate == 1e-3  # the lower of the two beside the middle


def test_another_setting_of_what_else_is_tuned_counts_too() -> None:
    """At eps 1 every rate is beaten by one at eps 2, on both seeds, but for the best mean's own."""
    rows = {(1, 0.1): [0.5, 0.5], (1, 1.0): [0.4, 0.4], (2, 0.1): [0.6, 0.8], (2, 1.0): [0.55, 0.65]}
    runs = [
        run(lr, s, m, hyperparameters={"lr": lr, "eps": eps})
        for (eps, lr), row in rows.items()
        for s, m in enumerate(row)
    ]
    choice = choose(points(runs), higher_is_better=True)
    assert choice is not None
    assert choice.point.hyperparameters == {"lr": 0.1, "eps": 2}


def test_one_seed_chooses_its_best() -> None:
    choice = chosen({1e-3: [0.9], 1e-2: [0.91], 1e-1: [0.9]})
    assert choice is not None
    assert (choice.point.learning_rate, choice.plateau) == (1e-2, (1e-2, 1e-2))


def test_equal_rates_are_all_as_good() -> None:
    choice = chosen({1e-3: [0.9, 0.8], 1e-2: [0.9, 0.8], 1e-1: [0.9, 0.8]})
    assert choice is not None
    assert (choice.point.learning_rate, choice.plateau) == (1e-2, (1e-3, 1e-1))


def test_what_was_confirmed_stays_the_choice_whatever_rule_made_it() -> None:
    """A study of an earlier protocol chose 0.01, and its confirmation ran that."""
    runs = [*tuning({0.01: [0.91, 0.91], 0.1: [0.90, 0.94], 1.0: [0.1, 0.1]}), *confirmed("adam", [0.9, 0.9], 0.01)]
    (row,) = leaderboard(study("adam", confirmation=2, protocol=2), runs)
    assert row.learning_rate == 0.01
    assert row.choice is not None
    assert row.choice.point.metric.mean == pytest.approx(0.91)


def lost(contender: str, failure: str = "", seeds: int = 3) -> list[RunRecord]:
    """Tuning runs that failed, or diverged where nothing is said."""
    runs = tuning({0.1: [None] * seeds, 1.0: [None] * seeds}, contender)
    return [replace(r, failure=failure, diverged_at=None if failure else 3) for r in runs]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("RuntimeError: no", "No run of b finished: RuntimeError: no."),
        ("", "No run of b finished: all diverged."),
    ],
)
def test_a_contender_each_of_whose_runs_failed_is_named(failure: str, told: str) -> None:
    runs = [*finals("a", [0.9, 0.91]), *lost("b", failure)]
    record = study("a", "b", confirmation=2)
    text = verdict(record, leaderboard(record, runs))
    assert text.startswith("Use a at learning rate 0.1")
    assert told in text


def test_failed_contenders_are_named_by_what_befell_most_of_their_runs() -> None:
    runs = [*finals("a", [0.9, 0.91]), *lost("b", "TypeError: x", 2), *lost("b"), *lost("c", "KeyError: 'k'.")]
    record = study("a", "b", "c", confirmation=2)
    text = verdict(record, leaderboard(record, runs))
    assert "No run of b finished: most diverged." in text
    assert "No run of c finished: KeyError: 'k'." in text
    assert ".." not in text


def test_a_contender_without_a_rate_that_finished_with_every_seed_is_named() -> None:
    runs = [*finals("a", [0.9, 0.91]), *tuning({0.1: [0.5, None], 1.0: [None, 0.5]}, "b")]
    record = study("a", "b", confirmation=2)
    assert "No configuration of b finished with every seed." in verdict(record, leaderboard(record, runs))


def test_where_all_fail_the_verdict_says_of_what() -> None:
    record = study("a", "b", confirmation=2)
    text = verdict(record, leaderboard(record, [*lost("a", "TypeError: x"), *lost("b")]))
    assert text.startswith("No optimizer finished a run")
    assert "No run of a finished: TypeError: x." in text


def test_a_contender_whose_choice_never_finished_again_is_named() -> None:
    runs = [*finals("a", [0.9, 0.91]), *finals("b", [None, None])]
    record = study("a", "b", confirmation=2)
    assert "No final run of b finished." in verdict(record, leaderboard(record, runs))


def test_a_contender_without_a_finite_metric_is_named() -> None:
    silent = [replace(r, curve=(Measurement(STEPS, 0.5, 0.5, None),), diverged_at=None) for r in lost("b")]
    record = study("a", "b", confirmation=2)
    text = verdict(record, leaderboard(record, [*finals("a", [0.9, 0.91]), *silent]))
    assert "No run of b ended with a finite metric." in text


def test_who_finished_is_not_named() -> None:
    runs = [*finals("a", [0.9, 0.91]), *finals("b", [0.9, math.nan])]
    record = study("a", "b", confirmation=2)
    assert "No run of" not in verdict(record, leaderboard(record, runs))
