"""How numbers read: means, intervals, rates and sizes."""

import math

import pytest
from handwritten import study, tuning

from thalweg.analysis.chosen import range_text, rate_with_range, setting
from thalweg.analysis.formatting import number_of, parts, rate_text, size, value_text
from thalweg.analysis.intervals import Interval, mean_interval
from thalweg.analysis.leaderboard import leaderboard
from thalweg.analysis.metric_range import within

NAN = math.nan


@pytest.mark.parametrize(
    ("metric", "interval", "text"),
    [
        ("accuracy", Interval(0.972, 0.968, 0.976, 5), "97.2 ± 0.4%"),
        ("top5", Interval(0.972, 0.968, 0.976, 5), "97.2 ± 0.4%"),
        ("f1", Interval(0.972, 0.968, 0.976, 5), "0.9720 ± 0.0040"),
        ("mse", Interval(0.029, 0.013, 0.045, 3), "0.029 ± 0.016"),
        ("mse", Interval(1234.5678, 1200.0, 1269.1356, 3), "1235 ± 35"),
        ("loss", Interval(-0.5, -0.6, -0.4, 3), "-0.50 ± 0.10"),
        ("accuracy", Interval(0.972, 0.9719, 0.9721, 5), "97.2 ± <0.1%"),
        ("accuracy", Interval(0.972, 0.972, 0.972, 5), "97.2 ± <0.1%"),
        ("accuracy", Interval(0.972, NAN, NAN, 1), "97.2%"),
        ("mse", Interval(0.12345678, NAN, NAN, 1), "0.1235"),
        ("accuracy", Interval(0.735, 0.288, 1.0, 3, cut=True), "73.5% (28.8–100.0%)"),
        ("mse", Interval(0.02, 0.0, 0.09, 3, cut=True), "0.020 (0.000–0.090)"),
        ("accuracy", Interval(0.968, 0.96, 0.976, 2, (0.967, 0.969)), "96.7, 96.9%"),
        ("mse", Interval(0.5, 0.1, 0.9, 2, (0.48, 0.52)), "0.480, 0.520"),
        ("mse", Interval(0.5, 0.5, 0.5, 2, (0.5, 0.5)), "0.5, 0.5"),
    ],
)
def test_a_mean_with_what_is_known_of_it(metric: str, interval: Interval, text: str) -> None:
    assert number_of(metric, interval) == text


@pytest.mark.parametrize("margin", [3e-5, 0.0009, 0.016, 0.4, 7.0])
def test_digits_end_at_the_second_of_the_margin(margin: float) -> None:
    mean, spread = parts("loss", Interval(12.3456789, 12.3456789 - margin, 12.3456789 + margin, 5))
    assert float(spread.removeprefix("± ")) == pytest.approx(margin, rel=0.06)
    assert abs(float(mean) - 12.3456789) <= margin / 20
    assert len(mean.partition(".")[2]) == len(spread.removeprefix("± ").partition(".")[2])


@pytest.mark.parametrize("values", [[1e9, 2e9, 3e9], [1e-9, 2e-9, 3e-9], [1e300, 2e300], [0.0, 0.0, 0.0], [1e-320] * 3])
def test_extreme_values_read_as_numbers(values: list[float]) -> None:
    mean, _ = parts("loss", mean_interval(values))
    assert float(mean) == pytest.approx(sum(values) / len(values), rel=1e-3)
    text = number_of("loss", mean_interval(values))
    assert "nan" not in text
    assert "inf" not in text


def test_two_seeds_that_are_cut_show_both_values() -> None:
    assert number_of("accuracy", within(mean_interval([0.99, 0.95]), "accuracy")) == "95.0, 99.0%"


RATES = [float(f"{d}e{e}") for d in range(100, 1000) for e in range(-14, 5)]


def test_rates_of_up_to_three_digits_are_written_whole_and_read_back() -> None:
    """All of them, from 1e-12 to 9.99e6."""
    assert [x for x in RATES if float(rate_text(x)) != x] == []
    assert max(len(rate_text(x)) for x in RATES) <= 8


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (3e-3, "3e-3"), (1.6e-3, "1.6e-3"), (0.3, "0.3"), (5.0, "5"), (0.1, "0.1"), (0.0998, "9.98e-2"), (0.01, "1e-2"),
        (10**-2.5, "3.16e-3"), (0.09996, "0.1"), (0.0009999, "1e-3"), (1e-10, "1e-10"), (100, "100"), (0.0, "0"),
        (1234.0, "1.23e+03"),
    ],
)  # fmt: skip
def test_a_rate_reads_as_people_type_it(rate: float, text: str) -> None:
    assert rate_text(rate) == text


def test_sizes_and_values() -> None:
    accuracy, loss = study("a"), study("a", metric="loss")
    assert [size(accuracy, x) for x in (0.006, 0.0005, 0.0004, 0.0, 1.0)] == [
        "0.6 points", "0.1 points", "<0.1 points", "0.0 points", "100.0 points"
    ]  # fmt: skip
    assert [size(loss, x) for x in (0.01234, 1e-7, 0.0)] == ["0.0123", "1e-07", "0"]
    assert (value_text(accuracy, 0.972), value_text(loss, 0.14321)) == ("97.2%", "0.1432")


def test_a_chosen_rate_and_its_range() -> None:
    record = study("a", "b", "c", "d")
    wide = {1e-4: [0.1] * 3, 1e-3: [0.9, 0.91, 0.92], 3e-3: [0.9, 0.91, 0.92], 1e-2: [0.9, 0.91, 0.92], 0.1: [0.1] * 3}
    runs = [*tuning(wide, "a"), *tuning({0.1: [0.9] * 3, 1.0: [0.1] * 3}, "b"), *tuning({0.1: [0.9] * 3}, "c")]
    rows = {row.contender: row for row in leaderboard(record, runs)}
    assert [rate_with_range(rows[name]) for name in "abcd"] == ["3e-3 (1e-3 to 1e-2 do as well)", "0.1", "0.1", ""]
    assert [range_text(rows[name]) for name in "abcd"] == ["1e-3–1e-2", "", "", ""]


def test_other_hyperparameters_are_named_where_they_were_tuned() -> None:
    both = [("beta1", 0.5, 0.9), ("kind", "x", "y"), ("nesterov", False, True)]
    for name, worse, better in both:
        runs = tuning({0.1: [0.5] * 3}, "a", hyperparameters={"lr": 0.1, name: worse, "eps": 1e-8})
        runs += tuning({0.1: [0.9] * 3}, "a", hyperparameters={"lr": 0.1, name: better, "eps": 1e-8})
        (row,) = leaderboard(study("a"), runs)
        assert setting(row) == f"{name}={better}"
    (row,) = leaderboard(study("a"), tuning({0.1: [0.9] * 3, 1.0: [0.8] * 3}, "a"))
    assert setting(row) == ""
    (row,) = leaderboard(study("a"), [])
    assert setting(row) == ""
