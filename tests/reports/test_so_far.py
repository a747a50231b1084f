"""Provisional results in words, in lines that fit a terminal."""

import math
from dataclasses import replace

import pytest
from rich.cells import cell_len

from records_fixture import STUDY
from thalweg.records.types import Leader
from thalweg.reports.so_far import leaders_lines, score, short_rate, sparkline, time_left, whole_study

NAMES = ("adam", "momentum", "schedule_free_adamw", "sgd")
THREE = tuple(
    Leader(n, r, (0.98 - i / 100,) * 3, "tuning")
    for i, (n, r) in enumerate(zip(NAMES, (3e-3, 0.1, 1e-2, 1), strict=True))
)
WIDE = "最適化アルゴリズムの長い名前" * 3  # 42 letters of two columns each


def test_as_many_as_fit_and_none_cut() -> None:
    assert leaders_lines(STUDY, THREE, 140) == [
        "so far (provisional): adam 98.0% at 3e-3, momentum 97.0% at 1e-1, "
        "schedule_free_adamw 96.0% at 1e-2, sgd 95.0% at 1"
    ]
    assert leaders_lines(STUDY, THREE, 80) == ["so far (provisional): adam 98.0% at 3e-3, momentum 97.0% at 1e-1, …"]
    assert leaders_lines(STUDY, THREE, 60) == ["so far (provisional): adam 98.0% at 3e-3, …"]
    assert leaders_lines(STUDY, (), 80) == []


@pytest.mark.parametrize("width", range(20, 160))
def test_every_line_fits_and_names_stand_whole(width: int) -> None:
    for lead in (THREE, (Leader(WIDE, 0.1, (0.5,), "training"), *THREE)):
        lines = leaders_lines(STUDY, lead, width)
        assert all(cell_len(line) <= width for line in lines)
        if len(lines) == 1:
            parts = lines[0].split("): ")[1].removesuffix(", …").split(", ")
            assert [part.split()[0] for part in parts] == [leader.contender for leader in lead[: len(parts)]]
            assert all(
                part.split()[-2:] == ["at", short_rate(r.learning_rate)] for part, r in zip(parts, lead, strict=False)
            )
        else:
            begin = next(i for i, line in enumerate(lines) if line.endswith("):"))
            assert lead[0].contender in "".join(lines[begin + 1 :])


def test_seeds_are_counted_where_some_are_missing() -> None:
    one = [Leader(n, 0.1, (0.9,), "tuning") for n in ("a", "b")]
    assert leaders_lines(STUDY, one, 80) == ["so far (provisional, 1 seed): a 90.0% at 1e-1, b 90.0% at 1e-1"]
    mixed = [Leader("a", 0.1, (0.9, 0.9), "tuning"), Leader("b", 0.1, (0.9,) * 3, "tuning")]
    assert leaders_lines(STUDY, mixed, 80) == ["so far (provisional): a 90.0% at 1e-1 (2 seeds), b 90.0% at 1e-1"]


def test_it_says_what_kind_of_runs_they_are() -> None:
    study = replace(STUDY, metric="mse", confirmation_seeds=(1000,), tuning_seeds=(0,))
    for kind, words in (("training", "in training"), ("confirmation", "fresh seeds")):
        leaders = [Leader("adam", None, (0.01234567,), kind)]  # type: ignore[arg-type]
        (line,) = leaders_lines(study, leaders, 80)
        assert line.startswith(f"so far (provisional, {words}): adam 0.0123")
        assert " at " not in line


def test_two_values_have_no_margin() -> None:
    assert score(STUDY, Leader("a", 0.1, (0.9,), "tuning")) == "90.0%"
    assert score(STUDY, Leader("a", 0.1, (0.9, 0.9), "tuning")) == "90.0%, 90.0%"
    assert "±" in score(STUDY, Leader("a", 0.1, (0.9, 0.91, 0.92), "tuning"))


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (10**-2.5, "3e-3"), (0.01, "1e-2"), (10**-2.9, "1.3e-3"), (10**-2.3, "5e-3"), (0.0031, "3.1e-3"),
        (0.0015, "1.5e-3"),
        (0.3, "3e-1"), (1.0, "1"), (10**0.5, "3"), (10.0, "10"), (15.0, "15"), (1e-7, "1e-7"), (2e4, "2e4"), (0.0, "0"),
        (0.00995, "1e-2"), (None, ""), (math.inf, "inf"),
    ],
)  # fmt: skip
def test_rates_as_they_are_typed(rate: float | None, text: str) -> None:
    assert short_rate(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (0.0, "a few seconds left"), (4.9, "a few seconds left"), (5.0, "about 5 s left"),
        (42.0, "about 40 s left"), (58.0, "about 1 min left"), (89.0, "about 1 min 30 s left"),
        (299.0, "about 5 min left"), (3000.0, "about 50 min left"), (7200.0, "about 2.0 h left"),
    ],
)  # fmt: skip
def test_time_is_told_to_what_is_known_of_it(seconds: float | None, text: str) -> None:
    assert time_left(seconds) == text


def test_the_whole_study_in_words() -> None:
    assert time_left(60.0, at_most=True) == "at most 1 min left"
    assert whole_study(210.7, 539.0, "about 1 min left") == "whole study: 210 of about 539 runs, about 1 min left"
    assert whole_study(1.0, 1.0, "") == "whole study: 1 of about 1 run"
    assert whole_study(3.0, 0.0, "") == "", "a store by an earlier version foresaw nothing"


def test_a_sparkline_ends_at_its_extremes() -> None:
    assert sparkline([0.1, 0.2, 0.3, 0.8], 40) == "▁▂▃█"
    assert sparkline([3.0, 2.0], 40) == "█▁"
    assert sparkline([1.0, 1.0], 40) == "▁▁"
    assert sparkline([], 40) == ""
    many = sparkline([float(i) for i in range(1000)], 8)
    assert many == "▁▂▃▄▅▆▇█"
