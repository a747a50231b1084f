"""A budget of time: what is given up first, and what the clock still allows."""

from dataclasses import replace

import pytest

from problems import tiny
from thalweg.errors import InputError
from thalweg.studies.budget import SHARE, SHORTEST, Clock, Pace, _needed, expected_runs, fit
from thalweg.studies.contenders import contenders
from thalweg.studies.design import Design

DESIGN = Design(contenders(["sgd", "adam"]), None, seeds=3, confirm_seeds=5, base_seed=0)
PACE = Pace(per_step=1e-3, per_measurement=2e-3, per_run=5e-3)
WORKLOAD = tiny()  # 3 epochs of 21 steps
RUN = 0.005 + 63 * 1e-3 + 3 * 2e-3


def test_what_a_run_costs() -> None:
    assert PACE.of(10, WORKLOAD) == pytest.approx(10 * RUN)
    assert PACE.steps(1, RUN * 1.001, WORKLOAD) == 63
    assert PACE.steps(1, RUN / 2, WORKLOAD) == 27


def test_expected_runs() -> None:
    assert expected_runs(DESIGN) == 2 * (9 + 4) * 3 + 2 * 2 * 5
    assert expected_runs(replace(DESIGN, fine=False, confirm_seeds=0)) == 2 * 9 * 3


def budgeted(seconds: float) -> tuple[Design, int, list[str]]:
    design, workload, notes = fit(DESIGN, WORKLOAD, PACE, seconds)
    assert PACE.of(expected_runs(design), workload) <= SHARE * seconds * 1.001
    return design, workload.total_steps, notes


def test_the_whole_study_where_it_fits() -> None:
    design, steps, notes = budgeted(PACE.of(98, WORKLOAD) / SHARE * 1.01)
    assert (design, steps, notes) == (DESIGN, 63, [])


def test_the_fine_grid_goes_first_then_rates_then_steps_then_seeds() -> None:
    whole = PACE.of(98, WORKLOAD) / SHARE
    seen = []
    for share in (0.9, 0.7, 0.4, 0.13, 0.05):
        design, steps, notes = budgeted(share * whole)
        seen.append((design.fine, design.per_decade, steps == 63, design.seeds, design.confirm_seeds))
        assert notes[0].startswith("To fit the budget, the study gave up the fine grid")
        assert ("seeds" in notes[0]) == (design.seeds < 3)
    assert seen == [
        (False, 2, True, 3, 5), (False, 1, True, 3, 5), (False, 1, False, 3, 5), (False, 1, False, 2, 3),
        (False, 1, False, 1, 2),
    ]  # fmt: skip


def test_a_budget_that_nothing_fits() -> None:
    with pytest.raises(InputError, match="The budget is too short for these optimizers"):
        fit(DESIGN, WORKLOAD, PACE, 0.05)


@pytest.mark.parametrize("share", [0.0, SHORTEST])
def test_the_budget_that_is_advised_is_enough(share: float) -> None:
    _, workload, _ = fit(DESIGN, WORKLOAD, PACE, _needed(DESIGN, WORKLOAD, PACE, share))
    assert workload.total_steps >= max(1, share * WORKLOAD.total_steps)


def test_the_clock_learns_from_what_ran() -> None:
    hand = iter([50.0, 50.0, 50.0 + 10 * RUN * 4, 90.0])
    clock = Clock(40.0, 100.0, PACE, WORKLOAD, now=lambda: next(hand))
    assert clock.affords(10) == 10
    assert clock.affords(10_000) == int(90 / RUN)
    clock.ran(10, since=50.0)
    assert clock.affords(10_000) == int(50 / (4 * RUN))
    assert Clock(0.0, None, None, WORKLOAD).affords(10_000) == 10_000
