"""The difference that a study can tell apart: its table by simulation, through the test that judges real studies."""

import math

import numpy as np
import pytest
from handwritten import finals, study

from scope import THOROUGH
from thalweg.analysis.leaderboard import leaderboard
from thalweg.analysis.resolution import resolution
from thalweg.analysis.separable import CONTENDERS, IN_NOISE, MORE, SEEDS, in_noise, separable
from thalweg.analysis.ties import ties
from thalweg.analysis.verdict import verdict

STUDIES = 700 if THOROUGH else 350
NOISE, SHARED = 0.01, 0.02  # standard deviations of a run's score, and of what all share with one seed


def studies(contenders: int, seeds: int, random: int) -> np.ndarray:
    """[studies, contenders, seeds] scores of contenders that differ in nothing."""
    rng = np.random.default_rng(random)
    own = rng.normal(0, NOISE, (STUDIES, contenders, seeds))
    return 0.9 + own + rng.normal(0, SHARED, (STUDIES, 1, seeds))


@pytest.mark.parametrize("contenders", [2, 4, 11])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_four_of_five_studies_separate_what_another_of_this_design_says(contenders: int, seeds: int) -> None:
    """The first leads all others by the difference that another study, with noise of its own, printed."""
    separated = 0
    tables = studies(contenders, seeds, 10 * contenders + seeds)
    for other, table in zip(studies(contenders, seeds, 77 * contenders + seeds), tables, strict=True):
        told = separable(other)
        assert told is not None
        assert told.seeds == seeds
        table[0] += told.difference
        ranked = table[np.argsort(-table.mean(axis=1), kind="stable")]
        if ranked[0] is table[0] or np.array_equal(ranked[0], table[0]):
            separated += sum(not tied for tied in ties(ranked))
    assert 0.75 <= separated / (STUDIES * (contenders - 1)) <= 0.85


def test_two_contenders_by_the_power_of_the_paired_t_test() -> None:
    """Where the noise is known, a paired t test of 20 seeds has 80% power at 0.66 standard deviations of a difference
    (noncentral t); the stated one is more, by the uncertainty of the noise."""
    from scipy.stats import nct, t

    limit = t.ppf(0.975, 19)
    power = nct.sf(limit, 19, 0.66 * math.sqrt(20))
    assert power == pytest.approx(0.80, abs=0.01)
    assert in_noise(2, 20) == pytest.approx(0.66, rel=0.06)
    assert in_noise(2, 20) > 0.66


def test_the_table_by_hand_and_between_its_entries() -> None:
    assert (in_noise(2, 5), in_noise(11, 3), in_noise(40, 40)) == (
        pytest.approx(2.03),
        pytest.approx(3.74),
        pytest.approx(0.691),
    )
    assert in_noise(2, 6) == pytest.approx(math.exp(np.interp(math.log(6), np.log([5, 7]), np.log([2.03, 1.46]))))
    between = np.interp(math.log(8), np.log([6, 11]), np.log([2.07, 2.15]))
    assert in_noise(8, 5) == pytest.approx(math.exp(between))
    assert 2.07 < in_noise(8, 5) < 2.15
    for i, contenders in enumerate(CONTENDERS):
        for j, seeds in enumerate(SEEDS):
            assert in_noise(contenders, seeds) == pytest.approx(IN_NOISE[i][j])


def test_beyond_the_table() -> None:
    """More contenders count as the most listed; more seeds by the square root of their number."""
    assert in_noise(1000, 5) == pytest.approx(IN_NOISE[-1][3])
    assert in_noise(2, 160) == pytest.approx(0.466 / 2)
    assert in_noise(1000, 160) == pytest.approx(IN_NOISE[-1][-1] / 2)


def test_more_seeds_never_tell_less() -> None:
    for contenders in (2, 3, 5, 11, 25, 60):
        found = [in_noise(contenders, seeds) for seeds in range(2, 90)]
        assert found == sorted(found, reverse=True)


def test_the_noise_is_that_of_a_paired_difference_of_one_seed() -> None:
    """Two contenders whose differences by seed are ±0.01: a variance of 0.0001 · 4/3; what seeds share is no noise."""
    shared = np.array([0.9, 0.5, 0.7, 0.3])
    half = np.array([0.005, -0.005, 0.005, -0.005])
    told = separable([shared + half, shared - half])
    assert told is not None
    noise = math.sqrt(0.0001 * 4 / 3)
    assert told.difference == pytest.approx(in_noise(2, 4) * noise)
    assert told.more == pytest.approx(in_noise(2, 20) * noise)


@pytest.mark.parametrize(("seeds", "has_more"), [(19, True), (20, False), (30, False)])
def test_twenty_seeds_are_no_more_than_twenty(seeds: int, has_more: bool) -> None:
    told = separable(np.random.default_rng(0).normal(0.9, 0.01, (3, seeds)))
    assert told is not None
    assert (told.more is not None) == has_more
    assert MORE == 20
    if told.more is not None:
        assert told.more < told.difference


def test_nothing_is_separated_by_one_contender_or_seed() -> None:
    assert separable([]) is None
    assert separable([[0.9, 0.8, 0.7]]) is None
    assert separable([[0.9], [0.8]]) is None
    assert separable([[], []]) is None


def test_rounding_is_noise() -> None:
    """Equal scores of 100 samples may differ by what rounding hides: √(0.01² / 6) in a difference."""
    told = separable([[0.9] * 5, [0.9] * 5], 0.01)
    assert told is not None
    assert told.difference == pytest.approx(2.03 * 0.01 / math.sqrt(6))
    equal = separable([[0.9] * 5, [0.9] * 5])
    assert equal is not None
    assert equal.difference == 0.0


def test_the_verdict_says_it_of_the_reliable_ones_over_their_common_seeds() -> None:
    a, b, c = [0.97, 0.971, 0.969, 0.97, 0.972], [0.9701, 0.97, 0.97, 0.971, 0.97], [0.97, 0.1, 0.11, 0.97, 0.97]
    record = study("a", "b", "c", confirmation=5)
    rows = leaderboard(record, [*finals("a", a), *finals("b", b), *finals("c", c)])
    told, expected = resolution(record, rows), separable([a, b])
    assert told is not None
    assert expected is not None
    assert told.difference == pytest.approx(expected.difference)
    text = verdict(record, rows)
    said = f"5 fresh seeds show a difference of {100 * expected.difference:.1f} points in four cases of five"
    assert f"is not separated from it: {said}, 20 would show {100 * (expected.more or 0):.1f} points." in text


def test_scores_that_are_all_equal_say_no_difference_of_nothing() -> None:
    """No noise was measured: it is not said that differences of 0.0 points are shown."""
    record = study("a", "b", confirmation=3)
    text = verdict(record, leaderboard(record, [*finals("a", [0.9] * 3), *finals("b", [0.9] * 3)]))
    assert "b is not separated from it." in text
    assert "0.0 points" not in text


def test_a_difference_that_the_metric_cannot_have_is_not_stated() -> None:
    """Two seeds of accuracies that differ by 30 points would show a difference of hundreds of points."""
    record = study("a", "b", confirmation=2)
    runs = [*finals("a", [0.9, 0.93]), *finals("b", [0.6, 0.9])]
    said = verdict(record, leaderboard(record, runs))
    assert "b is not separated from a" in said or "b is not separated from it" in said
    assert ": 2 fresh seeds show no difference in four cases of five." in said
    assert "points in four" not in said
