"""The measured star table's thresholds."""

import math

import pytest

from thalweg.analysis.cost import Target
from thalweg.analysis.stars import RULE, fastest, quality, speed


def to(steps: float | None, reached: int = 5, runs: int = 5) -> Target:
    return Target(steps, None, None, reached, runs)


@pytest.mark.parametrize(("steps", "stars"), [(100, 3), (150, 3), (151, 2), (300, 2), (301, 1)])
def test_speed_is_relative_to_the_fastest(steps: float, stars: int) -> None:
    assert speed(to(steps), 100) == stars


def test_a_run_that_misses_the_target_costs_the_stars() -> None:
    assert speed(to(50, reached=4), 100) == 1
    assert speed(to(None, reached=0), 100) == 1
    assert speed(to(None, reached=0), None) == 1


def test_the_fastest_reached_the_target_with_every_run() -> None:
    assert fastest([to(50, reached=4), to(100), to(200), to(None, reached=0)]) == 100
    assert fastest([to(50, reached=4)]) is None


@pytest.mark.parametrize(
    ("mean", "tied", "stars"), [(0.80, True, 3), (0.892, False, 2), (0.891, False, 2), (0.8909, False, 1)]
)
def test_quality_is_a_tie_or_a_percent(mean: float, tied: bool, stars: int) -> None:
    assert quality(mean, 0.9, tied=tied, reliable=True) == stars


def test_quality_of_what_broke() -> None:
    assert quality(0.95, 0.9, tied=False, reliable=False) == 1
    assert quality(math.nan, 0.9, tied=False, reliable=False) is None


def test_the_rule_says_the_thresholds() -> None:
    assert "1.5 times" in RULE
    assert "3 times" in RULE
    assert "1%" in RULE
