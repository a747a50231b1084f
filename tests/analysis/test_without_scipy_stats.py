"""What the analysis computes itself rather than import scipy.stats, which takes half a second: against scipy.stats."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from scope import few
from thalweg.analysis.conformal import share_interval
from thalweg.analysis.intervals import RESAMPLES, _bootstrap, _upper, expanded
from thalweg.analysis.significance import losses
from thalweg.analysis.studentized_range import upper_quantile


@pytest.mark.parametrize("groups", few([2, 11, 200, 3, 20], 3))
@pytest.mark.parametrize("freedom", few([1, 4, 76, 2, 10, 2000], 3))
@pytest.mark.parametrize("level", few([0.95, 0.5, 0.9875], 2))
def test_the_studentized_range(level: float, groups: int, freedom: int) -> None:
    """scipy's own error is 4e-9 with 200 groups."""
    wanted = float(stats.studentized_range.ppf(level, groups, freedom))
    assert upper_quantile(level, groups, freedom) == pytest.approx(wanted, rel=1e-8)


def test_two_groups_are_a_t_test() -> None:
    """Where scipy takes infinitely many degrees of freedom from 100,000 on."""
    for freedom in (1, 30, 999_999):
        wanted = float(stats.t.ppf(0.975, freedom)) * 2**0.5
        assert upper_quantile(0.95, 2, freedom) == pytest.approx(wanted, rel=1e-11)


def samples() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    continuous = [rng.normal(size=n) * 10.0**e for n, e in ((2, 0), (9, -5), (10, 3), (11, 0), (57, 2), (200, -2))]
    return continuous + [np.round(rng.normal(0.9, 0.02, n), 3) for n in (3, 10, 25)]


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_the_bootstrap_bit_for_bit(level: float) -> None:
    for values in map(np.sort, samples()):
        n = len(values)
        found = stats.bootstrap(
            (values,), np.mean, n_resamples=RESAMPLES, vectorized=True, confidence_level=expanded(level, n),
            method="percentile", rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
        assert _bootstrap(tuple(values), level) == (found.low, found.high)
        assert _upper(level, n) == stats.t.ppf((1 + level) / 2, n - 1)


def test_fisher_s_exact_test() -> None:
    for before, after in [((0, 5), (5, 5)), ((1, 5), (4, 5)), ((0, 3), (0, 7)), ((3, 3), (7, 7)), ((12, 40), (30, 61))]:
        table = [[lost, runs - lost] for lost, runs in (before, after)]
        assert losses(before, after) == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-12)


def test_the_interval_of_a_share() -> None:
    for hits, of in [(0, 7), (3, 7), (7, 7), (90, 100)]:
        wanted = stats.binomtest(hits, of).proportion_ci(0.95, method="exact")
        assert share_interval(hits, of) == pytest.approx((wanted.low, wanted.high), rel=1e-9)


def test_nothing_of_the_analysis_imports_scipy_stats() -> None:
    code = (
        "import sys; from thalweg.analysis import intervals, significance, ties; "
        "intervals.mean_interval(list(range(12))); intervals.mean_interval([1, 2]); "
        "significance.losses((1, 2), (0, 2)); "
        "ties.ties([[2.0, 2.1], [1.0, 1.2]]); print('scipy.stats' in sys.modules, 'scipy.special' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
