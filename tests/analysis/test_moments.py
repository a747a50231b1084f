"""Means and spreads of ordinary numbers are the standard library's; of numbers near a float's end nothing is raised."""

import math
import statistics

import pytest

from thalweg.analysis import moments

ORDINARY = [0.5, -1.25, 3.0, 1e-12]


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e100])
def test_ordinary_numbers(scale):
    values = [x * scale for x in ORDINARY]
    assert moments.mean(values) == statistics.fmean(values)
    assert moments.variance(values) == statistics.variance(values)
    assert moments.stdev(values) == statistics.stdev(values)


def test_a_sum_beyond_a_float_has_a_mean_within():
    assert moments.mean([1.5e308, 1.7e308]) == pytest.approx(1.6e308, rel=1e-15)
    assert moments.mean([1.7e308, 1.7e308, -1.7e308, -1.7e308]) == 0.0


def test_a_spread_beyond_a_float_is_infinite():
    assert moments.variance([1e200, -1e200]) == math.inf
    assert moments.stdev([1.7e308, -1.7e308]) == math.inf


def test_none_of_no_values():
    with pytest.raises(statistics.StatisticsError):
        moments.mean([])
