"""The tests behind a difference, against scipy's and against tables."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from thalweg.analysis.significance import adjusted, holm, losses, paired, unpaired

BEFORE = [0.90, 0.92, 0.91, 0.95, 0.93]
AFTER = [0.91, 0.92, 0.94, 0.97, 0.93]


def test_the_same_seeds_get_the_paired_t_test() -> None:
    found = paired(BEFORE, AFTER)
    wanted = ttest_rel(AFTER, BEFORE)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-12)
    low, high = wanted.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), rel=1e-12)
    assert found.interval.mean == pytest.approx(0.012)
    assert found.interval.count == 5


def test_other_seeds_get_welch_s() -> None:
    found = unpaired(BEFORE, AFTER)
    wanted = ttest_ind(AFTER, BEFORE, equal_var=False)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-12)
    low, high = wanted.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), rel=1e-12)


def test_two_seeds_that_look_steady_do_not_borrow_certainty_from_ten() -> None:
    """Welch's freedom would be nearly 9; the interval is that of 1: 12.7062 (table) standard errors."""
    steady, many = [0.5, 0.5001], [0.4, 0.42, 0.38, 0.41, 0.39, 0.4, 0.42, 0.38, 0.41, 0.39]
    found = unpaired(many, steady)
    error = math.sqrt(np.var(many, ddof=1) / 10 + np.var(steady, ddof=1) / 2)
    assert found.interval.margin == pytest.approx(12.7062047 * error, rel=1e-6)


def test_an_interval_excludes_zero_where_the_test_passes() -> None:
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(200):
        a, b = rng.normal(0, 1, (2, 4))
        for found in (paired(a, b + 1), unpaired(a, b + 1)):
            assert found.p is not None
            apart = not found.interval.low <= 0 <= found.interval.high
            assert apart == (found.p < 0.05)
            outcomes.add(apart)
    assert outcomes == {True, False}


def test_coarse_scores_are_no_more_certain_than_their_resolution() -> None:
    """Each of five seeds lost one of 360 samples: a standard error of one sample · √(1/6/5), and not of 0."""
    one = 1 / 360
    after = [x - one for x in BEFORE]
    assert paired(BEFORE, after).p == pytest.approx(0.0, abs=1e-12)
    found = paired(BEFORE, after, rounding=one**2 / 6)
    assert found.interval.margin == pytest.approx(2.776445 * one * math.sqrt(1 / 30), rel=1e-6)
    twice = unpaired([0.9, 0.9], [0.9 - one] * 2, (one**2 / 12, one**2 / 12))
    assert twice.p is not None
    assert 0.05 < twice.p < 0.2


def test_rounding_errors_are_no_change() -> None:
    assert paired([0.3] * 3, [0.1 + 0.2] * 3).p == 1.0
    assert unpaired([0.3] * 3, [0.1 + 0.2] * 3).p == 1.0
    assert paired([0.0] * 3, [0.0] * 3).p == 1.0


def test_the_same_change_on_every_seed_is_certain_where_scores_are_exact() -> None:
    assert paired([0.3] * 3, [0.4] * 3).p == 0.0
    assert unpaired([0.3] * 3, [0.4] * 3).p == 0.0


@pytest.mark.parametrize("compare", [paired, unpaired])
def test_one_seed_tests_nothing(compare: object) -> None:
    found = compare([0.9], [0.1])  # type: ignore[operator]
    assert found.p is None
    assert found.interval.mean == pytest.approx(-0.8)
    assert math.isnan(found.interval.low)


def test_lost_runs_get_fisher_s_exact_test() -> None:
    """All five against none: two of the 252 ways to spread five losses over ten runs."""
    assert losses((0, 5), (5, 5)) == pytest.approx(2 / 252)
    assert losses((0, 5), (1, 5)) == pytest.approx(1.0)
    assert losses((0, 5), (0, 5)) == pytest.approx(1.0)


def test_holm_stops_at_the_first_that_does_not_pass() -> None:
    """Against 0.05 over 4, 3, 2, 1: 0.005 and 0.01 pass, 0.03 does not, and 0.04 behind it may not either."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert holm([0.04]) == [True]
    assert holm([0.04, 0.04]) == [False, False]
    assert holm([]) == []


def test_adjusted_p_by_hand_and_as_holm_decides() -> None:
    """Sorted 0.01, 0.03, 0.04 times 3, 2 and 1, each at least the one before."""
    assert adjusted([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert adjusted([0.9, 0.8]) == [1.0, 1.0]
    assert adjusted([]) == []
    rng = np.random.default_rng(0)
    for _ in range(200):
        ps = list(rng.random(5) ** 3)
        assert [p <= 0.05 for p in adjusted(ps)] == holm(ps, 0.05)
