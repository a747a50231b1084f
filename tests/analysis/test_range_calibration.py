"""Split conformal prediction by hand and by simulation, and the calibration of range tests that is built on it."""

import math

import numpy as np
import pytest
from scipy import stats

from thalweg.analysis.conformal import conformal_quantile, share_interval
from thalweg.analysis.range_calibration import RangeTask, calibrate, distance
from thalweg.analysis.range_curve import RangeFeatures


def test_the_quantile_by_hand() -> None:
    scores = [[each] for each in (0.5, 0.1, 0.4, 0.2, 0.3, 0.9, 0.7, 0.8, 0.6)]
    assert conformal_quantile(scores, 0.9) == 0.9  # of ten, the ninth
    assert conformal_quantile(scores, 0.8) == 0.8
    assert conformal_quantile(scores, 0.55) == 0.6  # 5.5 of ten: the sixth
    assert conformal_quantile(scores, 0.95) == math.inf, "nine are too few"
    assert conformal_quantile([], 0.5) == math.inf


def test_the_quantile_of_groups_by_hand() -> None:
    """Four groups and the new one: 60% of five are three groups' weight."""
    groups = [[1.0, 2.0], [3.0], [4.0, 5.0, 6.0, 7.0], [8.0]]
    assert conformal_quantile(groups, 0.4) == 3.0  # 0.5 + 0.5 + 1
    assert conformal_quantile(groups, 0.6) == 7.0  # and four quarters
    assert conformal_quantile(groups, 0.8) == 8.0
    assert conformal_quantile(groups, 0.81) == math.inf


def test_coverage_of_exchangeable_scores() -> None:
    """Over many calibrations of 30 scores, the next one is covered as often as promised, and not much more."""
    rng, covered = np.random.default_rng(0), []
    for _ in range(4000):
        scores = rng.exponential(size=31)
        covered.append(scores[-1] <= conformal_quantile(scores[:-1, None].tolist(), 0.9))
    exact = math.ceil(31 * 0.9) / 31
    assert np.mean(covered) == pytest.approx(exact, abs=3 * math.sqrt(exact * (1 - exact) / 4000))


def test_coverage_of_new_groups() -> None:
    """Tasks of one group are alike: a quantile of all scores as one sample covers less than promised."""
    rng, by_group, pooled = np.random.default_rng(0), [], []
    for _ in range(3000):
        scores = rng.exponential(size=(13, 1)) * rng.uniform(0.9, 1.1, size=(13, 8))
        new, old = scores[-1, 0], scores[:-1]
        by_group.append(new <= conformal_quantile(old.tolist(), 0.9))
        pooled.append(new <= conformal_quantile(old.reshape(-1, 1).tolist(), 0.9))
    noise = 3 * math.sqrt(0.9 * 0.1 / 3000)
    assert 0.9 - noise <= np.mean(by_group) <= 0.9 + 1 / 13 + noise
    assert np.mean(pooled) < 0.9 - noise


@pytest.mark.parametrize(("hits", "of"), [(0, 5), (5, 5), (90, 100), (1, 40)])
def test_the_interval_of_a_share(hits: int, of: int) -> None:
    """Clopper and Pearson's ends are those at which what was seen, or more extreme, has a chance of 2.5%."""
    low, high = share_interval(hits, of)
    assert low <= hits / of <= high
    if hits:
        assert stats.binom.sf(hits - 1, of, low) == pytest.approx(0.025)
    if hits < of:
        assert stats.binom.cdf(hits, of, high) == pytest.approx(0.025)


def task(rng: np.random.Generator, model: str, data: str, optimizer: str, bias: float, spread: float) -> RangeTask:
    """The best rate lies half-way from the middle of the fall to divergence, plus a bias and noise, in decades."""
    middle, gap = rng.uniform(-4, 0), rng.uniform(0.3, 1.9)
    at = middle + 0.5 * gap + bias + spread * rng.standard_normal()
    levels = tuple(10 ** (middle + offset) for offset in (-0.5, -0.2, 0.0, 0.1, 0.2))
    found = RangeFeatures(levels[0], 10**middle, 10**middle, 10 ** (middle + gap), 2.0, 1.0, levels, 1e3)
    return RangeTask(model, data, optimizer, found, (10**at,))


def tasks(seed: int, count: int) -> list[RangeTask]:
    """Of three optimizers on count² pairs; the third's best rates are hard to tell."""
    rng = np.random.default_rng(seed)
    biases = {"a": 0.0, "b": 0.5, "c": -0.3}
    return [
        task(rng, f"model {i}", f"data {j}", name, bias, 0.6 if name == "c" else 0.2)
        for i in range(count)
        for j in range(count)
        for name, bias in biases.items()
    ]


def pairs(seed: int, count: int) -> list[list[RangeTask]]:
    found = tasks(seed, count)
    return [found[i : i + 3] for i in range(0, len(found), 3)]


def test_a_calibration_finds_what_was_planted() -> None:
    found = calibrate(pairs(0, 8), 0.9)
    assert found.weights["divergence"] == pytest.approx(0.5, abs=0.15)
    assert 0.2 < found.offsets["b"] - found.offsets["a"] < 0.6  # the ridge draws 0.5 towards 0
    assert found.reaches["a"] < 0.6 < found.reaches["c"], "an optimizer whose rates are hard to tell has a wider one"
    covered = []
    for t in tasks(2, 20):
        of = found.interval(t.features, t.optimizer)
        assert of.low < of.suggestion < of.high
        covered.append(of.low <= t.good[0] <= of.high)
    assert 0.86 <= np.mean(covered) <= 0.97


def test_an_optimizer_that_was_not_calibrated_on() -> None:
    """Its reach is that of optimizers which the fit leaves out: their biases are in it."""
    found = calibrate(pairs(0, 5), 0.9)
    t = tasks(3, 1)[0]
    known, unknown = found.interval(t.features, "a"), found.interval(t.features, "another")
    assert unknown.high / unknown.low > known.high / known.low
    assert math.log10(unknown.high / unknown.suggestion) == pytest.approx(found.reach_unknown)


def test_too_few_tasks_promise_nothing() -> None:
    found = calibrate(pairs(0, 2), 0.9)  # four pairs
    assert found.interval(tasks(3, 1)[0].features, "a").high == math.inf


def test_pairs_that_share_everything_predict_nothing() -> None:
    with pytest.raises(ValueError, match="no tasks of other models and other data than model 0 on data 0"):
        calibrate(pairs(0, 1) * 2, 0.9)


def test_only_the_nearest_good_rate_counts() -> None:
    found = calibrate(pairs(0, 3), 0.9)
    t = tasks(3, 1)[0]
    at = found.predicted(t.features, t.optimizer)
    assert distance(at, (10 ** (at - 2), 10 ** (at + 0.25), 10 ** (at + 3))) == pytest.approx(0.25)
