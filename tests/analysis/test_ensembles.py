"""Scores of ensembles by size: which members are asked, the gain over members and its interval by hand."""

import math
from collections.abc import Sequence

import pytest
from scipy import stats

from thalweg.analysis.ensembles import ensemble_scores, interval_of, stored_interval
from thalweg.analysis.intervals import mean_interval

VALUES = (0.90, 0.92, 0.91, 0.95)


def score(members: Sequence[int]) -> float:
    """The mean of the members' values, and 1% more for each model beyond the first."""
    return sum(VALUES[i] for i in members) / len(members) + 0.01 * (len(members) - 1)


def test_by_hand() -> None:
    found = ensemble_scores(4, score, higher_is_better=True)
    assert found.members == VALUES
    assert found.ensemble == pytest.approx(0.92 + 0.03)
    gains = [found.ensemble - v for v in VALUES]
    half = stats.t.ppf(0.975, 3) * stats.sem(gains)
    assert (found.gain.mean, found.gain.margin) == (pytest.approx(0.03), pytest.approx(half))
    assert [s.models for s in found.sizes] == [1, 2, 3, 4]
    assert [s.mean for s in found.sizes] == [pytest.approx(0.92 + 0.01 * k) for k in range(4)]
    pairs = [score([0, 1]), score([2, 3])]
    assert found.sizes[1].margin == pytest.approx(stats.t.ppf(0.975, 1) * stats.sem(pairs))
    assert math.isnan(found.sizes[2].margin), "three of four share a member"


def test_lower_is_better() -> None:
    assert ensemble_scores(2, lambda m: 1.0 / len(m), higher_is_better=False).gain.mean == pytest.approx(0.5)


def test_many_models_are_scored_at_about_twenty_sizes() -> None:
    found = ensemble_scores(300, len, higher_is_better=True)
    sizes = [s.models for s in found.sizes]
    assert sizes[0] == 1
    assert sizes[-1] == 300
    assert len(sizes) <= 20
    assert all(s.mean == pytest.approx(s.models) for s in found.sizes)


def test_intervals_come_back_from_json() -> None:
    for values in ([1.0], [1.0, 2.0], [1.0, 2.0, 4.0]):
        one = mean_interval(values)
        again = interval_of(stored_interval(one))
        assert (again.mean, again.count, again.pair) == (one.mean, one.count, one.pair)
        assert stored_interval(again) == stored_interval(one)
