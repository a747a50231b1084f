"""Studies whose answer is known because it was planted, through the same functions that judge real ones."""

from typing import Any

import numpy as np
import pytest
from suite import RATES, Suite, Truth

from thalweg.analysis.formatting import rate_text
from thalweg.analysis.leaderboard import Row, choices, leaderboard
from thalweg.analysis.recommendation import pick
from thalweg.analysis.ties import ties
from thalweg.analysis.verdict import verdict

STUDIES = 200


def judged(suite: Suite) -> list[Row]:
    tuning = suite.tuning()
    return leaderboard(suite.record, [*tuning, *suite.confirmation(choices(suite.record, tuning))])


def row(rows: list[Row], name: str) -> Row:
    return next(row for row in rows if row.contender == name)


def flat(count: int, **more: Any) -> list[Truth]:
    """Contenders that differ in nothing, whatever the rate."""
    return [Truth(f"o{i}", dome=0.0, **more) for i in range(count)]


@pytest.mark.parametrize(("count", "samples"), [(2, 0), (5, 360), (11, 0)])
def test_identical_contenders_tie(count: int, samples: int) -> None:
    """In at least 95% of 200 studies, less two standard errors of that."""
    suites = [Suite(seed, *flat(count), samples=samples, rates=[1e-2]) for seed in range(STUDIES)]
    tied = sum(all(row.tied for row in judged(suite)) for suite in suites)
    assert tied >= 0.95 * STUDIES - 2 * (0.05 * 0.95 * STUDIES) ** 0.5


def simulated(contenders: int, seeds: int, studies: int = 1200, granularity: float = 0.0, behind: float = 0.0) -> float:
    """In how many tables all tie; with the last planted `behind`, in units of the noise, in how many that one does."""
    rng = np.random.default_rng(contenders * 100 + seeds)
    count = 0
    for _ in range(studies):
        table = 0.9 + rng.normal(0, 0.01, seeds) + rng.normal(0, 0.01, (contenders, seeds))
        table[-1] -= 0.01 * behind
        table = np.round(table / granularity) * granularity if granularity else table
        table = table[np.argsort(-table.mean(axis=1), kind="stable")]
        tied = ties(table, granularity=granularity)
        count += tied[-1] if behind else all(tied)
    return count / studies


@pytest.mark.parametrize("contenders", [2, 5, 11])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_rule_keeps_its_error_rate(contenders: int, seeds: int) -> None:
    """At most 5% of 1,200, and two standard errors of that."""
    assert simulated(contenders, seeds) >= 0.937
    assert simulated(contenders, seeds, granularity=1 / 360) >= 0.937


@pytest.mark.parametrize("pattern", ["one ten times", "half six times", "lognormal"])
@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("contenders", [4, 11])
def test_unequal_noise_separates_few_identical_contenders(contenders: int, seeds: int, pattern: str) -> None:
    """At most 8% of 600 studies, as the module says, and two standard errors of that."""
    rng, studies, separated = np.random.default_rng(contenders + seeds), 600, 0
    for _ in range(studies):
        scale = np.ones(contenders)
        if pattern == "lognormal":
            scale = np.exp(rng.normal(0, 0.8, contenders))
        else:
            scale[: 1 if pattern == "one ten times" else contenders // 2] = 10 if pattern == "one ten times" else 6
        table = rng.normal(size=(contenders, seeds)) * scale[:, None] + rng.normal(size=seeds)
        separated += not all(ties(table[np.argsort(-table.mean(axis=1))]))
    assert separated / studies <= 0.08 + 2 * (0.08 * 0.92 / studies) ** 0.5


@pytest.mark.parametrize(("contenders", "least"), [(2, 0.9), (5, 0.9), (11, 0.9)])
def test_what_is_clearly_behind_is_separated(contenders: int, least: float) -> None:
    """Three standard deviations of the noise behind, with five seeds."""
    assert 1 - simulated(contenders, 5, studies=500, behind=3.0) >= least


def test_a_planted_winner_wins_and_is_separated() -> None:
    """4 points better, at another rate, with a noise of 1 point."""
    truths = [Truth("good", accuracy=0.84, best=1e-3), Truth("fair"), Truth("poor", accuracy=0.75)]
    studies = [judged(Suite(seed, *truths)) for seed in range(40)]
    assert all(rows[0].contender == "good" for rows in studies)
    assert sum(row(rows, "fair").group == 2 for rows in studies) >= 36
    assert sum(row(rows, "poor").group == 3 for rows in studies) >= 34
    assert np.mean([row(rows, "fair").behind.mean for rows in studies]) == pytest.approx(0.04, abs=0.008)  # type: ignore[union-attr]
    rates = [rows[0].learning_rate or 0.0 for rows in studies]
    assert sum(abs(np.log10(rate) + 3) <= 0.51 for rate in rates if rate) >= 38
    text = verdict(Suite(0, *truths).record, studies[0])
    assert text.startswith(f"Use good at learning rate {rate_text(rates[0])} (")
    assert "The first clearly behind is fair" in text


def test_luck_in_tuning_does_not_win() -> None:
    """At one rate all of its tuning seeds are 8 points lucky: it looks best by far, and is confirmed 5 points worse."""
    lucky = Truth("lucky", accuracy=0.75, dome=0.0, luck=0.10, lucky=1e-3)
    studies = [judged(Suite(seed, lucky, Truth("honest", dome=0.0))) for seed in range(40)]
    promised = [row(r, "lucky").choice.point.metric.mean - row(r, "honest").choice.point.metric.mean for r in studies]  # type: ignore[union-attr]
    assert np.mean(promised) > 0.03
    assert all(rows[0].contender == "honest" for rows in studies)
    assert all(verdict(Suite(0, lucky).record, rows).startswith("Use honest") for rows in studies)
    cursed = [row(rows, "lucky").curse for rows in studies]
    assert np.mean([c for c in cursed if c is not None]) == pytest.approx(0.10, abs=0.015)


def test_one_lucky_seed_at_a_steep_rate_is_not_chosen() -> None:
    """The plateau's middle is, though the rate beside it has the best mean by chance; without luck it is the best."""
    truths = (Truth("o", best=1e-3, dome=0.002, noise=0.01, luck=0.006, lucky=1e-2),)
    rates = []
    for seed in range(60):
        suite = Suite(seed, *truths)
        choice = choices(suite.record, suite.tuning())["o"]
        assert choice is not None
        rates.append(choice.point.learning_rate)
    assert rates.count(1e-2) < 0.35 * len(rates)


def test_choosing_the_best_of_noise_is_a_winner_s_curse_of_its_own() -> None:
    """Seven rates that differ in nothing but noise: the chosen one's tuning mean is too good on average."""
    curses = [judged(Suite(seed, *flat(1, noise=0.03)))[0].curse for seed in range(100)]
    assert 0.002 < np.mean([c for c in curses if c is not None]) < 0.03


def test_planted_stars() -> None:
    """Target 0.7 of 0.8 is reached after 2.08 time constants: measured every 5 steps at 15, 25 and 65 of 100."""
    quick, brisk, slow = (Truth(name, speed=s, noise=0.0005) for name, s in (("q", 7), ("b", 11), ("s", 30)))
    near = Truth("near", accuracy=0.796, speed=30, noise=0.0005)
    far = Truth("far", accuracy=0.69, speed=7, noise=0.0005)
    rows = judged(Suite(3, quick, brisk, slow, near, far))
    assert [row(rows, name).stars.speed for name in ("q", "b", "s", "near", "far")] == [3, 2, 1, 1, 1]
    assert [row(rows, name).stars.quality for name in ("q", "b", "s", "near", "far")] == [3, 3, 3, 2, 1]


def test_planted_sensitivity_is_measured() -> None:
    """What the study tells apart is less than 2% of the error of 0.2, so that 0.004 may be lost: √(0.004 / dome)
    decades from the best, on a grid of half decades. 0.0036 is lost 0.85 decades from it, 0.005 a whole one."""
    truths = [Truth("wide", dome=0.005, noise=0.0001), Truth("narrow", dome=0.5, noise=0.0001, diverges_above=0.05)]
    rows = judged(Suite(0, *truths))
    wide, narrow = row(rows, "wide"), row(rows, "narrow")
    assert wide.good is not None
    assert narrow.good is not None
    assert wide.good.decades == pytest.approx(1.0, abs=0.01)
    assert (wide.good.low, wide.good.high) == (RATES[3], RATES[5])
    assert wide.good.least == wide.good.most == wide.good.decades
    assert narrow.good.decades == 0.0
    assert wide.rate_is_step
    assert pick(rows) is wide
    assert wide.expected is not None
    assert narrow.expected is not None
    assert wide.expected > 0.78 > narrow.expected + 0.3
    assert narrow.failures == {"diverged": 3}


def test_the_same_records_give_bitwise_the_same_leaderboard() -> None:
    assert judged(Suite(7, *flat(3))) == judged(Suite(7, *flat(3)))
