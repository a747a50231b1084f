"""What is read off curves of range tests, against curves of known shape."""

import math

import numpy as np
import pytest

from thalweg.analysis.range_curve import RangeCurve, as_losses, features, swept_rates

STEPS = 400
RATES = swept_rates(1e-6, 1e0, STEPS)
LOGS = np.log10(RATES)


def valley(noise: float = 0.0, seeds: int = 3) -> RangeCurve:
    """Falls from 2 to 1 between 1e-4 and 1e-2, linearly in log-rate; rises again from 1e-1 on, by 4 a decade."""
    line = 2 - np.clip((LOGS + 4) / 2, 0, 1) + 4 * np.clip(LOGS + 1, 0, None)
    return RangeCurve(RATES, line + noise * np.random.default_rng(0).standard_normal((seeds, STEPS)))


def test_the_rates_of_a_sweep() -> None:
    assert RATES[0] == 1e-6
    assert math.isclose(RATES[-1], 1.0, rel_tol=1e-12)
    assert np.allclose(np.diff(LOGS), 6 / (STEPS - 1))


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_valley(noise: float) -> None:
    found = features(valley(noise))
    assert found is not None
    near = pytest.approx
    assert math.log10(found.lower_edge) == near(-3.8, abs=0.1)  # a tenth of two decades
    assert [math.log10(rate) for rate in found.levels] == near([-3.8, -3.5, -3.0, -2.5, -2.2], abs=0.12)
    assert -4 <= math.log10(found.steepest) <= -2
    assert -2.2 <= math.log10(found.minimum) <= -0.9
    assert found.divergence is not None
    assert math.log10(found.divergence) == near(-1 + 0.5 / 4, abs=0.1)  # half of the fall is lost
    assert found.last == RATES[-1]
    assert (found.start, found.lowest) == near((2.0, 1.0), abs=0.05)


def test_the_steepest_descent() -> None:
    """A fall of a sigmoid is steepest at its middle."""
    found = features(RangeCurve(RATES, (1 / (1 + np.exp(6 * (LOGS + 2.5))))[None]))
    assert found is not None
    assert math.log10(found.steepest) == pytest.approx(-2.5, abs=0.05)
    assert found.divergence is None, "it never rises"


def test_a_run_that_ends_diverges_there() -> None:
    curve = valley()
    losses = curve.losses.copy()
    losses[1, np.searchsorted(RATES, 3e-2) :] = np.nan  # one of three seeds
    found = features(RangeCurve(RATES, losses))
    assert found is not None
    assert found.divergence is not None
    assert math.log10(found.divergence) == pytest.approx(math.log10(3e-2), abs=0.02)
    assert found.minimum < 3e-2


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_no_fall(seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal((3, STEPS))
    assert features(RangeCurve(RATES, 2 + 0.3 * noise)) is None


@pytest.mark.parametrize("line", [np.full(STEPS, 2.0), 2 + np.clip(LOGS + 3, 0, None), np.full(STEPS, np.nan)])
def test_a_loss_that_never_falls(line: np.ndarray) -> None:
    assert features(RangeCurve(RATES, np.tile(line, (2, 1)))) is None


def test_what_follows_a_divergence_is_not_read() -> None:
    """A network thrown far away may fit something again: here to far below the valley."""
    line = valley().losses[0].copy()
    line[LOGS > -0.3] = 0.0
    line[(LOGS > -0.6) & (LOGS <= -0.3)] = 1e17  # whose rounding error must not reach its neighbours either
    found = features(RangeCurve(RATES, line[None]))
    assert found is not None
    assert found.minimum < 0.2
    assert found.lowest == pytest.approx(1.0, abs=0.05)


def test_losses_of_unequal_length() -> None:
    losses = as_losses([[1.0, 2.0], [3.0, 4.0, 5.0, 6.0]], 3)
    assert np.array_equal(losses, [[1, 2, np.nan], [3, 4, 5]], equal_nan=True)
