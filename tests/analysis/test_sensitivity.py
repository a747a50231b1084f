"""Sensitivity to the learning rate, computed by hand."""

from typing import Any

import pytest
from handwritten import run, tuning

from thalweg.analysis.selection import points
from thalweg.analysis.sensitivity import expected_metric


def of(by_rate: Any, coarse: Any = (), worst: float | None = 0.1, *, higher: bool = True) -> Any:
    return expected_metric(points(tuning(by_rate)), coarse, worst, higher_is_better=higher)


def test_the_expected_metric_is_a_trapezoid_over_log_rate() -> None:
    """(0.2 + 0.8)/2 over one decade, (0.8 + 0.4)/2 over half of one: 0.8 / 1.5. The extension 1.0 lies outside."""
    by_rate = {1e-3: [0.2], 1e-2: [0.8], 10**-1.5: [0.4], 1.0: [0.9]}
    assert of(by_rate, (1e-3, 1e-2, 10**-1.5)) == pytest.approx(0.8 / 1.5)


def test_what_broke_counts_as_the_worst() -> None:
    """0.1 is the worst; a rate where one of two seeds broke counts (0.9 + 0.1) / 2."""
    assert of({1e-2: [0.8, 0.8], 1e-1: [0.9, None]}, (1e-2, 1e-1)) == pytest.approx((0.8 + 0.5) / 2)
    assert of({1e-2: [None], 1e-1: [None]}, (1e-2, 1e-1)) == pytest.approx(0.1)
    assert of({1e-2: [None], 1e-1: [None]}, (1e-2, 1e-1), worst=None) is None


def test_without_a_coarse_range_or_a_rate_nothing_is_expected() -> None:
    assert of({1e-2: [0.8], 1e-1: [0.9]}) is None
    none = points([run(0.0, 0, 0.9, hyperparameters={}, rate=None)])
    assert expected_metric(none, (0.1, 1.0), 0.1, higher_is_better=True) is None
