"""What short runs say of a suggestion, by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from thalweg.analysis.range_calibration import FEATURES, RangeCalibration
from thalweg.analysis.range_curve import RangeCurve, swept_rates
from thalweg.analysis.range_finding import RangeFinding, RangeTrial, is_clearly_better, neighbourhood, read, verified

CALIBRATION = RangeCalibration(
    dict.fromkeys(FEATURES, 0.0), 0.5, offsets={"adam": 0.0}, reaches={"adam": 0.4}, reach_unknown=1.0,
    coverage=0.9,
)  # fmt: skip
RATES = swept_rates(1e-6, 1e0, 300)
FALLS = RangeCurve(RATES, (2 - np.clip((np.log10(RATES) + 4) / 2, 0, 1))[None])
FOUND = RangeFinding("adam", (1e-3, 1e-2), 3e-3)


def trials(below: float, at: float, above: float) -> list[RangeTrial]:
    means = zip(neighbourhood(3e-3), (below, at, above), strict=True)
    return [RangeTrial(rate, (loss - 0.01, loss, loss + 0.01)) for rate, loss in means]


def test_reading_a_curve() -> None:
    """The middle of the fall is 1e-3; the best rate half a decade above, give or take 0.4 or 1."""
    known, unknown = (read("mine", name, FALLS, CALIBRATION) for name in ("adam", "lion"))
    for found, reach in ((known, 0.4), (unknown, 1.0)):
        assert found.suggestion is not None
        assert found.interval is not None
        assert math.log10(found.suggestion) == pytest.approx(-2.5, abs=0.02)
        assert [math.log10(rate) for rate in found.interval] == pytest.approx([-2.5 - reach, -2.5 + reach], abs=0.02)
        assert not found.verified
        assert found.sentence.endswith("no run has verified it.")


def test_a_loss_that_does_not_fall_gives_no_number() -> None:
    found = read("adam", "adam", RangeCurve(RATES, np.full((2, 300), 1.0)), CALIBRATION)
    assert (found.interval, found.suggestion, found.lower_edge) == (None, None, None)
    assert found.sentence == "adam: no rate from 1e-06 to 1 made the loss fall."
    failed = read("adam", "adam", replace(FALLS, failure="it raised"), CALIBRATION)
    assert failed.sentence == "adam: it cannot be trained: it raised."


def test_runs_that_agree() -> None:
    found = verified(FOUND, trials(0.5, 0.4, 0.45), 100)
    assert found.verified
    assert (found.suggestion, found.interval) == (3e-3, (1e-3, 1e-2))
    assert found.sentence == "adam: 0.003, in 0.001 to 0.01; short runs agree."
    json.dumps(found.facts(), allow_nan=False)


@pytest.mark.parametrize(("losses", "better"), [((0.5, 0.4, 0.3), 9e-3), ((0.2, 0.4, 0.3), 1e-3)])
def test_a_neighbour_that_is_better_is_suggested_and_it_says_so(
    losses: tuple[float, float, float], better: float
) -> None:
    found = verified(replace(FOUND, interval=(2e-3, 5e-3)), trials(*losses), 1000)
    assert not found.verified
    assert found.suggestion == better
    assert found.interval is not None
    assert found.interval[0] <= better <= found.interval[1]
    assert "the test suggested 0.003, and runs of 1,000 steps say that it was wrong: the loss is" in found.sentence


def test_runs_that_diverge() -> None:
    found = verified(FOUND, trials(0.5, math.inf, math.inf), 100)
    assert found.suggestion == 1e-3
    assert "and not diverging" in found.sentence
    json.dumps(found.facts(), allow_nan=False)
    nowhere = verified(FOUND, trials(math.inf, math.inf, math.inf), 100)
    assert not nowhere.verified
    assert nowhere.sentence == "adam: short runs diverged at 0.003 and beside it; its test is wrong."


@pytest.mark.parametrize(
    ("losses", "than", "clear"),
    [
        ((1.0, 1.1, 0.9), (1.5, 1.6, 1.4), True),
        ((1.0, 1.1, 0.9), (1.3, 0.8, 1.2), False),  # within the noise of seeds
        ((0.98, 1.08, 0.88), (1.0, 1.1, 0.9), False),  # sure, and too little
        ((1.0,), (1.05,), False),  # one seed needs more
        ((1.0,), (1.2,), True),
        ((math.inf, 1.0), (1.0, 1.0), False),
        ((5.0, 5.0), (math.inf, 1.0), True),
    ],
)
def test_clearly_better(losses: tuple[float, ...], than: tuple[float, ...], clear: bool) -> None:
    assert is_clearly_better(losses, than) is clear
