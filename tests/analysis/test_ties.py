"""Ties, on tables small enough to see through; their error rates are in test_known_answers."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from thalweg.analysis.ties import tie_groups, ties

NOISE = np.array([0.01, -0.01, 0.02, -0.02, 0.0])


def test_two_contenders_get_the_paired_t_test() -> None:
    """Differences with mean m and standard error s/√5: behind from m = 2.776445 · s/√5 on, by 4 degrees of freedom."""
    limit = 2.776445 * float(np.std(NOISE, ddof=1)) / 5**0.5
    base = np.array([0.9, 0.5, 0.7, 0.8, 0.6])
    assert ties([base, base - NOISE - limit * 1.001]) == [True, False]
    assert ties([base, base - NOISE - limit * 0.999]) == [True, True]


def test_three_contenders_get_tukey_s_range() -> None:
    """q at 95% for 3 contenders and 8 degrees of freedom is 4.041 (table); the residual variance is built to be s²."""
    a, b = np.array([1, -1, 1, -1, 0.0]), np.array([1, 1, -1, -1, 0.0])  # orthogonal, both add up to 0
    rows = 0.01 * np.array([2 * b, -b + 3**0.5 * a, -b - 3**0.5 * a])  # every pair differs alike, columns add up to 0
    pooled = float((rows**2).sum()) / 8
    limit = 4.041 * (pooled / 5) ** 0.5
    own = float(np.var(rows[0] - rows[2], ddof=1))
    assert own == pytest.approx(2 * pooled * 4 / 4, rel=1e-9)  # so that neither of the two errors is the larger
    assert ties(rows - np.array([[0], [0], [limit * 1.001]]))[2] is False
    assert ties(rows - np.array([[0], [0], [limit * 0.999]]))[2] is True


def test_a_noisy_contender_is_judged_by_its_own_noise() -> None:
    """Two steady ones would make a small pooled error; the third trails by far less than its own spread."""
    steady = np.full(5, 0.9)
    wild = 0.88 + 10 * NOISE[::-1]
    assert ties([steady, steady - 1e-4 * NOISE, wild]) == [True, True, True]


def test_a_noisy_loser_does_not_hide_who_else_is_behind() -> None:
    """It is set aside first; then the pooled error is that of the rest."""
    base = 0.9 + NOISE
    loser = 0.2 + 5 * np.array([0.02, -0.02, -0.01, 0.0, 0.01])
    fair = base - 0.03 + 0.1 * NOISE[::-1]
    assert ties([base, fair, loser]) == [True, False, False]
    spread = np.sqrt(np.var(base - loser, ddof=1) / 5)
    assert np.mean(base - fair) < spread  # which the loser's error alone would not have allowed


def test_separate_tests_would_separate_identical_contenders() -> None:
    """One of eleven in 60% of studies, as the module says: a paired t test of each against the first."""
    rng = np.random.default_rng(0)
    tables = rng.normal(0, 1, (1000, 11, 5))
    separated = 0
    for table in tables:
        first = table[table.mean(axis=1).argmax()]
        others = [row for row in table if row is not first]
        separated += any(ttest_rel(first, row).pvalue < 0.05 for row in others)
    assert separated / 1000 == pytest.approx(0.60, abs=0.05)


def test_fewer_than_two_seeds_separate_nothing() -> None:
    assert ties([[0.9], [0.1]]) == [True, True]
    assert ties([[], []]) == [True, True]
    assert tie_groups([]) == []


def test_equal_differences_of_a_coarse_accuracy_are_not_certainty() -> None:
    """One sample of 360 more on both of two seeds: without the resolution it would look like no noise at all."""
    a, b = [0.9, 0.9], [0.9 - 1 / 360] * 2
    assert ties([a, b]) == [True, False]
    assert ties([a, b], granularity=1 / 360) == [True, True]


def test_identical_scores_tie_and_so_do_rounding_errors() -> None:
    a = [0.1 + 0.2, 0.4, 0.7]
    assert ties([a, [0.3, 0.4, 0.7]]) == [True, True]
    assert ties([[0.3] * 3, [0.3 - 1e-16] * 3]) == [True, True]


def test_groups_go_down_the_ranking() -> None:
    base = np.array([0.9, 0.91, 0.89, 0.92, 0.9])
    table = [base, base - 0.001 * NOISE - 1e-6, base - 0.1, base - 0.1 - NOISE / 10 - 1e-6, base - 0.4]
    assert tie_groups(table) == [1, 1, 2, 2, 3]


def test_one_exploded_seed_of_one_contender_does_not_make_everything_tie() -> None:
    """Squared errors: the explosion cannot be told from bad luck, but c is behind a and b as before."""
    a, b = -0.1 - NOISE, -0.1001 - NOISE[::-1] / 10 - NOISE * 0.9
    exploded = np.array([-0.1, -0.1, -1e6, -0.1, -0.1])
    assert ties([a, b, a - 0.2]) == [True, True, False]
    assert ties([a, b, a - 0.2, exploded]) == [True, True, False, True]
