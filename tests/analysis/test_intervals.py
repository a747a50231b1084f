"""Intervals, against values computed by hand and against what they promise."""

import math

import numpy as np
import pytest

from thalweg.analysis.intervals import (
    _bootstrap,
    expanded,
    interquartile_mean,
    mean_interval,
    paired_interval,
    probability_of_improvement,
    standard_error,
)

FIVE = [0.90, 0.93, 0.94, 0.96, 0.99]


def test_three_values_have_student_s_interval() -> None:
    """Student's t with 2 degrees of freedom: 4.302653 standard errors."""
    interval = mean_interval([0.9, 0.92, 0.94])
    assert interval.mean == pytest.approx(0.92)
    assert standard_error([0.9, 0.92, 0.94]) == pytest.approx(0.02 / 3**0.5)
    assert interval.high - interval.mean == pytest.approx(4.3026527 * 0.02 / 3**0.5, rel=1e-6)


def test_the_level_is_expanded_as_published() -> None:
    """t with 4 degrees of freedom is 2.776445 at 97.5%; √(5/4) of it 3.104160, beyond which Φ leaves 0.000954."""
    assert expanded(0.95, 5) == pytest.approx(1 - 2 * 0.000954, abs=2e-6)
    assert expanded(0.95, 10_000) == pytest.approx(0.95, abs=1e-4)


def test_ten_values_are_resampled() -> None:
    """Against the sorted means of other resamples, cut at the expanded level; skewed, so that t would not do."""
    ten = [*FIVE, 0.80, 0.81, 0.95, 0.96, 0.961]
    means = np.mean(np.random.default_rng(7).choice(ten, (200_000, 10)), axis=1)
    tail = (1 - expanded(0.95, 10)) / 2
    interval = mean_interval(ten)
    assert interval.low == pytest.approx(np.quantile(means, tail), abs=0.004)
    assert interval.high == pytest.approx(np.quantile(means, 1 - tail), abs=0.004)
    assert interval.mean - interval.low > 1.1 * (interval.high - interval.mean)


def test_intervals_cover_what_they_promise() -> None:
    """In 400 studies each, within three standard errors of the promised 95%."""
    rng = np.random.default_rng(0)
    for n in (2, 3, 5, 10, 12):
        intervals = [mean_interval(list(rng.normal(0, 1, n))) for _ in range(400)]
        covered = np.mean([i.low <= 0 <= i.high for i in intervals])
        assert 0.917 <= covered <= 0.983, (n, covered)


def test_few_values_cannot_be_resampled() -> None:
    """What `mean_interval` says of the bootstrap, within three standard errors in 400 studies."""
    rng = np.random.default_rng(0)
    for n, promised in {2: 0.51, 3: 0.74, 4: 0.88, 5: 0.91, 10: 0.95}.items():
        intervals = [_bootstrap(tuple(rng.normal(0, 1, n)), 0.95) for _ in range(400)]
        covered = np.mean([low <= 0 <= high for low, high in intervals])
        assert covered == pytest.approx(promised, abs=3 * (promised * (1 - promised) / 400) ** 0.5), n


def test_the_same_values_give_bitwise_the_same_interval_in_any_order() -> None:
    assert mean_interval(FIVE) == mean_interval(FIVE[::-1])
    assert mean_interval([0.1, 0.7, 0.2]) == mean_interval([0.7, 0.2, 0.1])


def test_degenerate_intervals() -> None:
    one, none, equal = mean_interval([0.5]), mean_interval([]), mean_interval([0.3] * 7)
    assert (one.mean, one.count) == (0.5, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.margin)
    assert none.count == 0
    assert math.isnan(none.mean)
    assert (equal.mean, equal.low, equal.high) == (0.3, 0.3, 0.3)
    assert standard_error([0.5]) == 0.0


def test_pairs_take_out_what_the_seeds_share() -> None:
    b = [x - 0.01 - e for x, e in zip(FIVE, (0.0, 0.001, 0.0, -0.001, 0.0), strict=True)]
    interval = paired_interval(FIVE, b)
    assert interval.mean == pytest.approx(0.01)
    assert 0.009 < interval.low < interval.high < 0.011
    with pytest.raises(ValueError, match="zip"):
        paired_interval([1.0], [1.0, 2.0])


def test_the_interquartile_mean_ignores_a_quarter_at_each_end() -> None:
    assert interquartile_mean([100.0, 2.0, 3.0, 4.0, -50.0]) == pytest.approx(3.0)
    assert interquartile_mean([1.0, 5.0, 6.0]) == pytest.approx(4.0)
    assert interquartile_mean([0, 0, 2, 3, 4, 5, 9, 99]) == pytest.approx(3.5)
    assert math.isnan(interquartile_mean([]))


def test_the_probability_of_improvement_counts_all_pairs() -> None:
    """3 beats 1, ties with none of 1 and 4 …: (3>1, 3<4, 4>1, 4=4) is 2.5 of 4."""
    assert probability_of_improvement([3.0, 4.0], [1.0, 4.0]) == pytest.approx(2.5 / 4)
    assert probability_of_improvement([3.0, 4.0], [1.0, 4.0], higher_is_better=False) == pytest.approx(1.5 / 4)
    assert probability_of_improvement([1.0], [1.0]) == 0.5
    assert math.isnan(probability_of_improvement([], [1.0]))
