"""Numbers and names as sentences write them."""

import math

import pytest
from handwritten import study

from thalweg.analysis.formatting import metric_name, number, number_of
from thalweg.analysis.intervals import Interval
from thalweg.workloads.metric_names import METRICS


def of(mean: float, margin: float, count: int = 5) -> Interval:
    return Interval(mean, mean - margin, mean + margin, count)


@pytest.mark.parametrize(
    ("mean", "margin", "written"),
    [
        (0.02947, 0.016, "0.029 ± 0.016"),
        (0.02947, 0.0162, "0.029 ± 0.016"),
        (0.02947, 0.00996, "0.029 ± 0.010"),
        (12.3456, 0.5, "12.35 ± 0.50"),
        (12.3456, 3.0, "12.3 ± 3.0"),
        (-0.5, 0.25, "-0.50 ± 0.25"),
        (1234.5, 341.0, "1234 ± 341"),
        (0.2, 23.4, "0 ± 23"),
        (0.0, 0.01, "0.000 ± 0.010"),
        (0.5, 0.0, "0.5 ± 0"),
        (0.123456789, 1e-12, "0.123457 ± 1e-12"),
        (1.234567e-9, 3.21e-11, "1.235e-09 ± 3.2e-11"),
        (1.234567e12, 3.21e10, "1.235e+12 ± 3.2e+10"),
        (math.inf, math.nan, "inf"),
    ],
)
def test_digits_of_a_mean_follow_its_margin(mean: float, margin: float, written: str) -> None:
    assert number_of("mse", of(mean, margin)) == written


def test_a_single_value_and_accuracies() -> None:
    assert number_of("mse", of(0.0294712, math.nan, 1)) == "0.02947"
    assert number_of("accuracy", of(0.97123, 0.0071)) == "97.1 ± 0.7%"
    assert number(study("a"), of(0.97123, math.nan, 1)) == "97.1%"


def test_names_of_metrics() -> None:
    said = {name: metric_name(name) for name in (*METRICS, "top5", "top10", "my_score")}
    assert said["mse"] == "MSE"
    assert (said["rmse"], said["mae"], said["r2"], said["auroc"]) == ("RMSE", "MAE", "R²", "AUROC")
    assert (said["f1"], said["bits_per_character"]) == ("F1", "bits per character")
    assert (said["accuracy"], said["top5"], said["top10"]) == ("accuracy", "top-5 accuracy", "top-10 accuracy")
    assert said["my_score"] == "my_score"
