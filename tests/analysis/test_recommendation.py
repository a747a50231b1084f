"""Which contender is recommended: what it takes to be preferred to the best mean."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from handwritten import confirmed, finals, study, tuning

from thalweg.analysis.good_range import GoodRange
from thalweg.analysis.leaderboard import Row, leaderboard
from thalweg.analysis.recommendation import pick

SCORES = [0.90, 0.92, 0.94, 0.96, 0.98]
NOISE = (0.001, -0.001, 0.0, 0.0005, -0.0005)
NARROW = {0.01: [0.1] * 3, 0.1: [0.9, 0.91, 0.92], 1.0: [0.1] * 3}
WIDE = {0.001: [0.1] * 3, **{lr: [0.9, 0.91, 0.92] for lr in (0.01, 0.1, 1.0)}, 10.0: [0.1] * 3}


def below(by: float, turn: int = 0) -> list[float]:
    """Scores that trail by so much, with noise that adds up to nothing; turn: of which seed it begins with."""
    return [x - by + e for x, e in zip(SCORES, NOISE[turn:] + NOISE[:turn], strict=True)]


def chosen(a: Any, b: Any, *, behind: float = 0.0001, **more: Any) -> str:
    """Which of two contenders is recommended: `a`, whose mean is better, or `b`, behind it by so much."""
    record = study("a", "b", confirmation=5, **more)
    runs = [*tuning(a, "a"), *confirmed("a", SCORES), *tuning(b, "b"), *confirmed("b", below(behind))]
    found = pick(leaderboard(record, runs))
    assert found is not None
    return found.contender


def rows(*widths: tuple[float, float] | None) -> list[Row]:
    """Contenders a, b, …, none separated from the first, with (narrowest, widest) good ranges in decades."""
    names = "abcdefgh"[: len(widths)]
    runs = [run for i, name in enumerate(names) for run in finals(name, below(i * 1e-5, i))]
    found = leaderboard(study(*names, confirmation=5), runs)
    assert [row.contender for row in found] == list(names)
    assert all(row.tied for row in found)
    ranges = [None if width is None else GoodRange(0.1, 1.0, *width) for width in widths]
    return [replace(row, good=good) for row, good in zip(found, ranges, strict=True)]


def name(found: Sequence[Row]) -> str:
    row = pick(found)
    assert row is not None
    return row.contender


def test_a_clearly_wider_range_beats_the_best_mean() -> None:
    assert chosen(NARROW, WIDE) == "b"
    assert chosen(WIDE, NARROW) == "a"


def test_an_equal_range_does_not_nor_what_is_separated() -> None:
    assert chosen(WIDE, WIDE) == "a"
    assert chosen(NARROW, WIDE, behind=0.1) == "a"


def test_a_wide_range_far_below_does_not_though_two_seeds_separate_nothing() -> None:
    """What learns nothing has the widest range; a mean far below, or tuned far below, is not as good for it."""
    flat = {lr: [0.1, 0.12] for lr in (0.001, 0.01, 0.1, 1.0)}
    peak, level = ({lr: of[:2] for lr, of in tried.items()} for tried in (NARROW, WIDE))

    def recommended(tried: Any, scores: Sequence[float]) -> str:
        record = study("a", "b", confirmation=2)
        runs = [*tuning(peak, "a"), *confirmed("a", [0.5, 0.9]), *tuning(tried, "b"), *confirmed("b", scores)]
        found = leaderboard(record, runs)
        assert [(row.contender, row.tied) for row in found] == [("a", True), ("b", True)]
        return name(found)

    assert recommended(level, [0.40, 0.98]) == "b"
    assert recommended(flat, [0.10, 0.12]) == "a"
    assert recommended(level, [0.10, 0.12]) == "a"
    assert recommended(flat, [0.40, 0.98]) == "a"


def test_a_range_that_one_tuning_seed_makes_wide_does_not() -> None:
    """b's third rate is good by its third seed alone: without that seed, its range is no wider than a's."""
    fragile = {
        0.001: [0.1] * 3,
        0.01: [0.9, 0.91, 0.92],
        0.1: [0.9, 0.91, 0.92],
        1.0: [0.87, 0.88, 1.0],
        10.0: [0.1] * 3,
    }
    pair = {0.01: [0.9, 0.91, 0.92], 0.1: [0.9, 0.91, 0.92], 1.0: [0.1] * 3}
    assert chosen(pair, fragile) == "a"


def test_a_range_that_is_narrow_in_one_seed_only_is_not_clearly_narrower() -> None:
    """a is good at a second rate without its first seed."""
    nearly = {0.01: [0.3, 0.91, 0.92], 0.1: [0.9, 0.91, 0.92], 1.0: [0.1] * 3}
    pair = {0.01: [0.9, 0.91, 0.92], 0.1: [0.9, 0.91, 0.92], 1.0: [0.1] * 3}
    assert chosen(nearly, pair) == "a"
    assert chosen(NARROW, pair) == "b"


def test_where_the_rate_is_not_the_size_of_the_steps_its_range_says_nothing() -> None:
    """As of AdaBound. It says something of the other, and such a one may still have the best mean."""
    calls = {name: {"rate_is_step": name == "a"} for name in "ab"}
    assert chosen(NARROW, WIDE, calls=calls) == "a"
    calls = {name: {"rate_is_step": name == "b"} for name in "ab"}
    assert chosen(NARROW, WIDE, calls=calls) == "b"
    assert chosen(WIDE, NARROW, calls=calls) == "a"


@pytest.mark.parametrize(
    ("widths", "expected"),
    [
        (((1.0, 1.0), (1.0, 3.0)), "a"),  # the narrowest of b is no wider than the widest of a
        (((1.0, 1.0), (1.5, 3.0)), "b"),
        (((1.0, 1.5), (1.5, 3.0)), "a"),
        (((1.0, 1.0), (1.0 + 1e-9, 3.0)), "a"),  # rounding of equally spaced grids
        (((0.0, 0.0), (1.0, 2.0), (3.0, 3.0)), "c"),  # wider than b, which is wider than a
        (((0.0, 0.0), (1.0, 2.0), (1.5, 3.0)), "b"),  # c and b overlap: the better mean of the two
        (((0.0, 2.0), (1.0, 1.0), (3.0, 3.0)), "c"),
        ((None, (3.0, 3.0)), "a"),
        (((0.0, 0.0), None, (1.0, 1.0)), "c"),
        (((None, None), (3.0, 3.0)), "a"),  # type: ignore[arg-type]
        (((0.0, 0.0), (None, None)), "a"),  # type: ignore[arg-type]
    ],
)
def test_uncertain_widths_that_overlap_prefer_nothing(widths: Any, expected: str) -> None:
    assert name(rows(*widths)) == expected


def test_unreliable_ones_are_never_preferred_and_none_is_none() -> None:
    found = rows((0.0, 0.0), (3.0, 3.0), (2.0, 2.0))
    assert name([found[0], replace(found[1], failed=(1000,)), found[2]]) == "c"
    assert name([found[0], replace(found[1], tied=False), found[2]]) == "c"
    assert name([replace(row, failed=(1000,)) for row in found]) == "a"
    assert pick([]) is None
    assert pick(leaderboard(study("a"), [])) is None


def test_a_wide_range_does_not_excuse_a_mean_far_below() -> None:
    """b is not separated, by its noise: 20 points worse. With one seed, nothing is separated."""
    record = study("a", "b", confirmation=5)
    noisy = [0.45, 0.95, 0.60, 0.90, 0.80]
    runs = [*tuning(NARROW, "a"), *confirmed("a", SCORES), *tuning(WIDE, "b"), *confirmed("b", noisy)]
    first, second = leaderboard(record, runs)
    assert (first.close, second.contender, second.tied, second.close) == (True, "b", True, False)
    assert pick([first, second]) is first
    runs = [*tuning(NARROW, "a"), *confirmed("a", [0.9]), *tuning(WIDE, "b"), *confirmed("b", [0.5])]
    assert pick(leaderboard(study("a", "b", confirmation=1), runs)).contender == "a"  # type: ignore[union-attr]
