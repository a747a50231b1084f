"""What metrics can be, and differences that do not matter."""

import math

import pytest

from thalweg.analysis.intervals import Interval, mean_interval
from thalweg.analysis.metric_range import limits, negligible, tolerated, within

INF = math.inf


@pytest.mark.parametrize(
    ("metric", "low", "high"),
    [
        ("accuracy", 0, 1), ("top5", 0, 1), ("top12", 0, 1), ("f1", 0, 1), ("F1", 0, 1), ("auroc", 0, 1),
        ("mse", 0, INF), ("mae", 0, INF), ("RMSE", 0, INF), ("r2", -INF, 1), ("R²", -INF, 1), ("perplexity", 1, INF),
        ("loss", -INF, INF), ("top1", -INF, INF), ("top5 of mine", -INF, INF), ("my accuracy", -INF, INF),
        ("balanced accuracy", -INF, INF), ("", -INF, INF), ("mse. of logs", -INF, INF),
    ],
)  # fmt: skip
def test_what_a_metric_of_a_name_can_be(metric: str, low: float, high: float) -> None:
    assert limits(metric) == (low, high)


def test_an_interval_ends_where_the_metric_does() -> None:
    cut = within(Interval(0.97, 0.92, 1.02, 3), "accuracy")
    assert (cut.mean, cut.low, cut.high, cut.count, cut.cut) == (0.97, 0.92, 1.0, 3, True)
    assert within(Interval(0.02, -0.05, 0.09, 3), "accuracy").low == 0.0
    assert within(Interval(0.02, -0.05, 0.09, 3), "mse") == Interval(0.02, 0.0, 0.09, 3, None, cut=True)
    assert within(Interval(1.1, 0.5, 1.7, 3), "perplexity").low == 1.0
    kept = Interval(0.97, 0.92, 1.02, 3)
    assert within(kept, "loss") is kept
    inside = Interval(0.9, 0.8, 1.0, 3)
    assert within(inside, "accuracy") is inside


def test_a_mean_beyond_what_it_can_be_moves_the_limits() -> None:
    """A metric of the user's that is called accuracy, and is in percent."""
    found = within(mean_interval([96.0, 97.0, 98.0]), "accuracy")
    assert found.mean == 97.0
    assert found.low <= found.mean <= found.high
    assert found.cut
    assert within(Interval(-0.3, -0.5, -0.1, 3), "mse").low == -0.3


def test_intervals_without_ends_stay() -> None:
    for interval in (mean_interval([0.9]), mean_interval([])):
        assert within(interval, "accuracy") is interval


def test_a_negligible_difference_is_two_percent_of_the_error_left() -> None:
    """0.06 points at 97%; of a loss, 2% of its value; of a metric without a best one, of its size."""
    assert negligible("accuracy", 0.97, higher_is_better=True) == pytest.approx(0.0006)
    assert negligible("r2", -1.0, higher_is_better=True) == pytest.approx(0.04)
    assert negligible("mse", 0.5, higher_is_better=False) == pytest.approx(0.01)
    assert negligible("score", -50.0, higher_is_better=True) == pytest.approx(1.0)
    assert negligible("loss", -2.0, higher_is_better=False) == pytest.approx(0.04)
    assert negligible("accuracy", 1.0, higher_is_better=True) == 0.0
    assert negligible("accuracy", 0.1, higher_is_better=False) == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("resolved", "expected"), [(0.0, 0.02 * 0.2), (0.001, 0.02 * 0.2), (0.02, 0.02), (0.05, 0.05), (0.3, 0.25 * 0.2)]
)
def test_what_is_tolerated_is_what_the_study_tells_apart_within_bounds(resolved: float, expected: float) -> None:
    assert tolerated("accuracy", 0.8, resolved, higher_is_better=True) == pytest.approx(expected)
