"""Axes: ends, ticks, labels, outliers."""

import math

import handmade
import pytest

from thalweg.reports.figures.scales import Scale, loss_scale, metric_scale, rates_scale

ACCURACY = handmade.study()
ERROR = handmade.study(metric="error", higher_is_better=False)


def test_percent_ticks() -> None:
    scale = metric_scale(ACCURACY, [0.90, 0.92, 0.94, 0.96])
    assert not scale.log
    assert scale.ticks == pytest.approx((0.90, 0.92, 0.94, 0.96))
    assert scale.labels == ("90%", "92%", "94%", "96%")
    assert scale.low == pytest.approx(0.90 - 0.06 * 0.06)
    assert scale.high == pytest.approx(0.96 + 0.06 * 0.06)


def test_accuracy_never_leaves_0_to_1() -> None:
    scale = metric_scale(ACCURACY, [0.0, 0.3, 0.6, 1.0])
    assert (scale.low, scale.high) == (0.0, 1.0)


def test_a_far_outlier_on_the_bad_side_is_left_out() -> None:
    near = [0.95, 0.955, 0.96, 0.962, 0.965, 0.97, 0.975]
    scale = metric_scale(ACCURACY, [*near, 0.1])
    assert scale.fraction(0.1) < 0 < scale.fraction(0.95) < scale.fraction(0.975) < 1


def test_the_bad_side_is_the_high_one_where_lower_is_better() -> None:
    near = [1.0, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4]
    scale = metric_scale(ERROR, [*near, 9.0])
    assert scale.fraction(9.0) > 1 > scale.fraction(1.4) > scale.fraction(1.0) > 0


def test_wide_positive_metrics_are_logarithmic() -> None:
    scale = metric_scale(ERROR, [0.01, 0.1, 1.0, 10.0])
    assert scale.log
    assert scale.ticks == pytest.approx((0.01, 0.1, 1.0, 10.0))
    assert scale.labels == ("0.01", "0.1", "1", "10")
    assert scale.fraction(math.sqrt(scale.low * scale.high)) == pytest.approx(0.5)
    assert scale.at(scale.fraction(0.3)) == pytest.approx(0.3)


def test_losses_that_are_not_positive_are_linear() -> None:
    assert loss_scale([0.1, 1.0]).log
    assert not loss_scale([-0.1, 1.0]).log


def test_many_decades_of_rates_read_as_powers() -> None:
    scale = rates_scale([1e-5, 1e2])
    assert scale.ticks == pytest.approx((1e-4, 1e-2, 1e0, 1e2))
    assert scale.labels == ("10⁻⁴", "10⁻²", "10⁰", "10²")
    assert scale.low < 1e-5
    assert scale.high > 1e2


def test_one_rate_has_an_axis_around_it() -> None:
    scale = rates_scale([0.02])
    assert scale.fraction(0.02) == pytest.approx(0.5)
    assert "0.02" in scale.labels


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.5],
        [0.0],
        [math.nan, None, math.inf],
        [0.5, 0.5, 0.5],
        [-1e300, 1.0],
        [1e-12, 2e-12],
        [5e20, 1e21],
        [-0.3],
        [97.0, 98.0],
    ],
)
@pytest.mark.parametrize("make", [lambda v: metric_scale(ACCURACY, v), lambda v: metric_scale(ERROR, v), loss_scale])
def test_every_scale_can_be_drawn(values: list[float], make: object) -> None:
    scale = make(values)  # type: ignore[operator]
    assert isinstance(scale, Scale)
    assert math.isfinite(scale.low)
    assert scale.low < scale.high
    assert len(scale.ticks) == len(scale.labels)


@pytest.mark.parametrize("high", [0.1012, 0.13, 0.17, 0.25, 0.4, 0.9, 1.7, 4.0])
def test_ticks_are_few_distinct_and_inside(high: float) -> None:
    for scale in (metric_scale(ERROR, [0.1, high]), loss_scale([0.1, high]), rates_scale([0.1, high])):
        assert 1 <= len(scale.ticks) <= 7
        assert len(set(scale.labels)) == len(scale.labels)
        assert all(-1e-9 <= scale.fraction(tick) <= 1 + 1e-9 for tick in scale.ticks)
        assert [float(label) for label in scale.labels] == pytest.approx(scale.ticks)
