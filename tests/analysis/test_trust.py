"""Overfitting, lucky tuning, unfinished training, failures."""

from dataclasses import replace

import pytest
from handwritten import confirmed, curve, run, tuning

from thalweg.analysis.reliability import best_validation, curse, failures, gap, late_gain
from thalweg.analysis.selection import choose, points


def test_overfitting_is_positive_in_either_direction() -> None:
    runs = [run(0.1, i, 0.8, train_metric=0.99, test_metric=0.9 + i / 100) for i in range(2)]
    up, down = gap(runs, "test", 1.0), gap(runs, "test", -1.0)
    assert up is not None
    assert down is not None
    assert up.mean == pytest.approx(0.085)
    assert down.mean == pytest.approx(-0.085)
    held_out = gap(runs, "validation", 1.0)
    assert held_out is not None
    assert held_out.mean == pytest.approx(0.19)
    assert gap([run(0.1, 0, None)], "test", 1.0) is None


def test_the_winner_s_curse_is_what_tuning_promised_too_much() -> None:
    choice = choose(points(tuning({0.1: [0.93, 0.95]})), higher_is_better=True)
    fresh = confirmed("adam", [0.90, 0.91, 0.92])
    assert curse(choice, fresh, 1.0) == pytest.approx(0.03)
    assert curse(choice, fresh, -1.0) == pytest.approx(-0.03)
    assert curse(choice, tuning({0.1: [0.93]}), 1.0) is None
    assert curse(None, fresh, 1.0) is None


def test_the_late_gain_is_that_of_the_last_tenth() -> None:
    """Measured every 10 of 100 steps: from 90 to 100. Every 50: a fifth of the way from 50 to 100."""
    fine = [replace(run(0.1, i, 0.9), curve=curve(*[0.5] * 9, end)) for i, end in enumerate((0.52, 0.54))]
    found = late_gain(fine, 1.0)
    assert found is not None
    assert (found.mean, found.standard_error) == (pytest.approx(0.03), pytest.approx(0.01))
    assert found.still_improving
    worse = late_gain(fine, -1.0)
    assert worse is not None
    assert not worse.still_improving
    coarse = late_gain([replace(run(0.1, 0, 0.9), curve=curve(0.5, 0.6, every=50))], 1.0)
    assert coarse is not None
    assert coarse.mean == pytest.approx(0.02)
    assert not coarse.still_improving  # one run
    assert late_gain([run(0.1, 0, 0.9)], 1.0) is None


def test_noise_at_the_end_is_not_improvement() -> None:
    ends = (0.49, 0.52, 0.48, 0.51)
    found = late_gain([replace(run(0.1, i, 0.9), curve=curve(*[0.5] * 9, e)) for i, e in enumerate(ends)], 1.0)
    assert found is not None
    assert not found.still_improving


def test_the_best_measurement_of_a_run() -> None:
    wavy = replace(run(0.1, 0, 0.9), curve=curve(0.5, 0.8, None, 0.7))
    assert best_validation(wavy, 1.0) == 0.8
    assert best_validation(wavy, -1.0) == 0.5
    assert best_validation(replace(wavy, diverged_at=41), 1.0) is None


def test_failures_are_counted_by_reason() -> None:
    oom = run(0.1, 0, 0.9, failure="out of memory")
    worsened = run(0.1, 1, 0.9, initial_loss=0.1)
    assert worsened.diverged
    silent = replace(run(0.1, 2, 0.9), curve=curve(0.5, None))
    found = failures([oom, oom, worsened, silent, run(0.1, 3, None), run(0.1, 4, 0.9)])
    assert found == {
        "out of memory": 2,
        "finished with a higher loss than at the start": 1,
        "no final metric": 1,
        "diverged": 1,
    }
