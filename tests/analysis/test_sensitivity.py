"""Sensitivity to the learning rate, computed by hand."""

from typing import Any

import pytest
from handwritten import run, tuning

from thalweg.analysis.selection import points
from thalweg.analysis.sensitivity import sensitivity


def of(by_rate: Any, coarse: Any = (), worst: float | None = 0.1, *, higher: bool = True) -> Any:
    return sensitivity(points(tuning(by_rate)), coarse, worst, higher_is_better=higher)


def test_the_width_is_in_decades_and_contiguous() -> None:
    """Best 0.9 at 1e-2: 0.891 and more counts. 1e-5 does too, but lies beyond 1e-4, which does not."""
    by_rate = {1e-5: [0.899], 1e-4: [0.5], 1e-3: [0.892], 10**-2.5: [0.895], 1e-2: [0.9], 1e-1: [0.8909]}
    assert of(by_rate).width == pytest.approx(1.0)


def test_lower_is_better_is_close_from_above() -> None:
    by_rate = {1e-4: [0.102], 1e-3: [0.1009], 1e-2: [0.1], 1e-1: [0.05, None]}
    assert of(by_rate, higher=False).width == pytest.approx(1.0)


def test_a_lonely_best_is_zero_wide_and_a_lonely_rate_has_no_width() -> None:
    assert of({1e-3: [0.1], 1e-2: [0.9], 1e-1: [0.1]}).width == 0.0
    assert of({1e-2: [0.9]}).width is None
    assert of({}).width is None


def test_the_expected_metric_is_a_trapezoid_over_log_rate() -> None:
    """(0.2 + 0.8)/2 over one decade, (0.8 + 0.4)/2 over half of one: 0.8 / 1.5. The extension 1.0 lies outside."""
    by_rate = {1e-3: [0.2], 1e-2: [0.8], 10**-1.5: [0.4], 1.0: [0.9]}
    assert of(by_rate, (1e-3, 1e-2, 10**-1.5)).expected == pytest.approx(0.8 / 1.5)


def test_what_broke_counts_as_the_worst() -> None:
    """0.1 is the worst; a rate where one of two seeds broke counts (0.9 + 0.1) / 2."""
    assert of({1e-2: [0.8, 0.8], 1e-1: [0.9, None]}, (1e-2, 1e-1)).expected == pytest.approx((0.8 + 0.5) / 2)
    nothing = of({1e-2: [None], 1e-1: [None]}, (1e-2, 1e-1))
    assert (nothing.width, nothing.expected) == (None, pytest.approx(0.1))
    assert of({1e-2: [None], 1e-1: [None]}, (1e-2, 1e-1), worst=None).expected is None


def test_without_a_coarse_range_or_a_rate_nothing_is_expected() -> None:
    assert of({1e-2: [0.8], 1e-1: [0.9]}).expected is None
    none = points([run(0.0, 0, 0.9, hyperparameters={}, rate=None)])
    assert sensitivity(none, (), 0.1, higher_is_better=True).width is None
