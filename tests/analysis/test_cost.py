"""Steps, epochs and seconds to target, time and memory, and what tuning took."""

from dataclasses import replace

import pytest
from handwritten import curve, finals, run, study, tuning

from thalweg.analysis.cost import cost, spent, steps_to_target, target


def test_steps_to_target_is_the_first_crossing() -> None:
    reached = replace(run(0.1, 0, 0.9), curve=curve(0.5, 0.91, 0.7, 0.95, every=7))
    assert steps_to_target(reached, study("a")) == 14
    assert steps_to_target(reached, study("a", target=0.99)) is None
    assert steps_to_target(reached, study("a", target=None)) is None
    assert steps_to_target(reached, study("a", target=0.6, higher_is_better=False)) == 7


def test_the_target_s_medians_are_over_the_runs_that_get_there() -> None:
    """Steps 20, 30 and 60 of 100, which took 2, 4 and 1 seconds: 0.4, 1.2 and 0.6 seconds."""
    values = ([0.5, 0.9], 2.0), ([0.5, 0.5, 0.95], 4.0), ([0.1] * 5 + [0.9], 1.0), ([0.1] * 10, 9.0)
    runs = [replace(run(0.1, i, 0.9), curve=curve(*m), seconds=s) for i, (m, s) in enumerate(values)]
    found = target(study("a"), runs)
    assert (found.steps, found.epochs, found.reached, found.runs) == (30, 3.0, 3, 4)
    assert found.seconds == pytest.approx(0.6)
    assert target(study("a", target=None), runs).steps is None


def test_cost_is_a_median_pace_and_the_largest_memory() -> None:
    """1, 3 and 50 seconds for 100 steps; the fourth diverged at step 3 of 100 after 0.06 seconds: 0.02 a step."""
    runs = [replace(run(0.1, i, 0.9), seconds=s, memory=i) for i, s in enumerate((1.0, 3.0, 50.0))]
    runs.append(replace(run(0.1, 3, None), seconds=0.06, memory=7))
    assert cost(runs).seconds_per_step == pytest.approx(0.025)
    assert cost(runs).memory == 7
    assert cost([]).seconds_per_step is None


def test_what_tuning_took_is_told_against_the_caps() -> None:
    """Two whole runs and one that diverged at step 3; confirmation is not tuning."""
    runs = [*tuning({0.1: [0.9, 0.9, None]}, seconds=2.0), run(0.1, 1000, 0.9, role="confirmation", seconds=9.0)]
    found = spent(study("a", caps={"runs": 5, "steps": 500, "seconds": None}), runs)
    assert (found.runs, found.evaluations, found.seconds) == (3, 203, 6.0)
    assert (found.unspent_runs, found.unspent_evaluations, found.unspent_seconds) == (2, 297, None)
    failed = run(0.1, 0, 0.9, failure="out of memory", curve=curve(0.5, 0.6))
    assert spent(study("a"), [failed]).evaluations == 20


def test_a_share_of_a_common_program_is_no_pace() -> None:
    runs = finals("a", [0.9, 0.9])
    alone = [replace(run, seconds=2.0, execution="loop: a reason") for run in runs]
    together = [alone[0], replace(alone[1], execution="population of 12, compiled")]
    assert [run.shared for run in together] == [False, True]
    assert not replace(runs[0], execution="population of 1").shared
    assert replace(runs[0], execution="population of 128").shared
    assert cost(alone).seconds_per_step is not None
    assert (cost(together).seconds_per_step, cost(together).shared) == (None, True)
    record = study("a", target=0.5)
    assert target(record, alone).seconds is not None
    assert target(record, together).seconds is None
    assert target(record, together).steps == target(record, alone).steps
