"""The change of all contenders together: by hand, against SciPy, and its error rate and power in simulated studies."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from handwritten import finals
from handwritten import study as record_of
from scipy import stats

from thalweg.analysis.difference import difference
from thalweg.analysis.pooled import PooledChange, pooled
from thalweg.analysis.study_arm import Arm, RankedStudy
from thalweg.records.types import StudyRecord

RECORD: StudyRecord = record_of("c0", confirmation=5)
STUDIES = 2000


def ranked(scores: np.ndarray, first_seed: int = 0, rounding: float = 0.0) -> RankedStudy:
    """A study of scores `[contenders, seeds]`; NaN is a run without one."""
    seeds = range(first_seed, first_seed + scores.shape[1])
    arms = {
        f"c{i}": Arm({}, None, tuple(seeds), {s: float(x) for s, x in zip(seeds, row, strict=True) if x == x}, False)
        for i, row in enumerate(scores)
    }
    return RankedStudy(RECORD, "test", rounding, arms)


def compared(a: np.ndarray, b: np.ndarray, **more: Any) -> PooledChange:
    found = pooled(ranked(a), ranked(b, **more))
    assert found is not None
    return found


def drawn(rng: np.random.Generator, contenders: int, seeds: int) -> np.ndarray:
    return rng.normal(0, 1, (contenders, seeds))


def test_paired_is_the_t_test_of_the_means_per_seed() -> None:
    rng = np.random.default_rng(1)
    a, b = drawn(rng, 4, 6), drawn(rng, 4, 6)
    found = compared(a, b)
    expected = stats.ttest_rel(b.mean(0), a.mean(0))
    low, high = expected.confidence_interval(0.95)
    assert (found.paired, found.interval.count, len(found.contenders)) == (True, 6, 4)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), rel=1e-9)
    assert found.interval.mean == pytest.approx((b - a).mean(), rel=1e-9)
    rises = (b.mean(1) > a.mean(1)).sum()
    assert (found.up, found.down) == (rises, 4 - rises)


def test_other_seeds_are_welchs_test_of_the_means_per_seed() -> None:
    rng = np.random.default_rng(2)
    a, b = drawn(rng, 4, 6), 3 * drawn(rng, 4, 6)
    found = compared(a, b, first_seed=50)
    assert not found.paired
    assert found.p == pytest.approx(stats.ttest_ind(b.mean(0), a.mean(0), equal_var=False).pvalue, rel=1e-9)


def test_turned_around_it_is_the_same_in_the_other_direction() -> None:
    rng = np.random.default_rng(3)
    a, b = drawn(rng, 3, 5), drawn(rng, 3, 5) + 1
    there, back = compared(a, b), compared(b, a)
    assert (back.p, back.up, back.down) == (there.p, there.down, there.up)
    assert back.interval.mean == -there.interval.mean


def test_contenders_that_lost_a_run_and_too_few_seeds() -> None:
    rng = np.random.default_rng(4)
    a, b = drawn(rng, 3, 5), drawn(rng, 3, 5)
    b[1, 2] = np.nan
    assert compared(a, b).contenders == ("c0", "c2")
    assert compared(a, b).p == compared(a[[0, 2]], b[[0, 2]]).p
    b[2, 0] = np.nan
    assert pooled(ranked(a), ranked(b)) is None, "of one contender there is its own test"
    assert pooled(ranked(a[:, :1]), ranked(a[:, :1])) is None
    assert pooled(ranked(a[:, :1]), ranked(a, first_seed=50)) is None


def test_a_study_with_more_seeds_is_compared_over_the_common_ones() -> None:
    rng = np.random.default_rng(5)
    a, b = drawn(rng, 3, 4), drawn(rng, 3, 9)
    found = compared(a, b)
    assert (found.paired, found.interval.count) == (True, 4)
    assert found.p == compared(a, b[:, :4]).p


def test_scores_of_few_samples_are_no_certainty() -> None:
    """Both contenders lose one sample of 360 on both seeds: without the rounding, p would be 0."""
    a = np.full((2, 2), 0.9)
    assert compared(a, a - 1 / 360).p == 0
    found = pooled(ranked(a, rounding=360.0**-2 / 12), ranked(a - 1 / 360, rounding=360.0**-2 / 12))
    assert found is not None
    assert found.p > 0.05


def test_it_is_part_of_a_difference() -> None:
    record = record_of("a", "b", confirmation=5, samples={"test": 10**6})
    before = finals("a", [0.9, 0.8, 0.7, 0.9, 0.8]) + finals("b", [0.8, 0.7, 0.9, 0.9, 0.7])
    after = [replace(run, test_metric=(run.test_metric or 0) + 0.01) for run in before]
    found = difference((record, before), (record, after)).pooled
    assert found is not None
    assert (found.contenders, found.up, found.significant) == (("a", "b"), 2, True)
    assert found.interval.mean == pytest.approx(0.01)


def studies(
    rng: np.random.Generator, contenders: int, seeds: int, shift: float = 0.0, common: float = 1.0, *, paired: bool
) -> tuple[RankedStudy, RankedStudy]:
    """Two studies: effects of contenders and of seeds, of the seed in this study, and noise of each run."""
    level = rng.normal(0, 5, (contenders, 1))
    shared = [rng.normal(0, 2, seeds)] * 2 if paired else [rng.normal(0, 2, seeds) for _ in range(2)]
    a, b = (level + of + common * rng.normal(0, 1, seeds) + drawn(rng, contenders, seeds) for of in shared)
    return ranked(a), ranked(b + shift, first_seed=0 if paired else 100)


def rejected(count: int, seed: int, *of: Any, **more: Any) -> float:
    rng = np.random.default_rng(seed)
    found = [pooled(*studies(rng, *of, **more)) for _ in range(count)]
    return float(np.mean([change.significant for change in found if change is not None]))


@pytest.mark.parametrize(("contenders", "seeds", "paired"), [(3, 5, True), (11, 3, True), (11, 5, False)])
def test_the_error_rate_is_five_percent(contenders: int, seeds: int, paired: bool) -> None:
    """Of 2,000 null studies 5%, within two standard errors of counting: 4 to 6%."""
    assert 0.04 <= rejected(STUDIES, 0, contenders, seeds, paired=paired) <= 0.06


def test_counting_contenders_as_independent_would_be_wrong() -> None:
    """The simulation can tell: over all pairs of contender and seed, a t test finds what is not there."""
    rng = np.random.default_rng(0)
    naive = 0
    for _ in range(200):
        a, b = studies(rng, 11, 5, paired=True)
        scores = ([x for arm in of.sides.values() for x in arm.scores.values()] for of in (a, b))
        naive += stats.ttest_rel(*scores).pvalue <= 0.05
    assert naive / 200 > 0.25


def test_its_power() -> None:
    """All of 11 rise by the noise of a run. See the module's docstring."""
    assert rejected(300, 0, 11, 5, 1.0, 0.0, paired=True) > 0.9
    assert rejected(300, 0, 11, 10, 1.0, 0.5, paired=True) > 0.8
    assert rejected(300, 0, 11, 5, 0.0, 0.5, paired=True) < 0.1
