"""The method is told as it was, and no other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from handmade import finals, rates, run, study
from pairs import known

from thalweg.analysis import ties
from thalweg.analysis.intervals import FEWEST
from thalweg.analysis.leaderboard import leaderboard
from thalweg.records.types import RunRecord
from thalweg.reports.methods_text import measured

GRID = (0.001, 0.00316, 0.01, 0.0316, 0.1)


def told(runs: Sequence[RunRecord], **changes: Any) -> dict[str, str]:
    record = study(**changes)
    return dict(measured(record, leaderboard(record, runs), runs))


def test_only_the_rounds_that_were_run() -> None:
    coarse = rates(dict.fromkeys(GRID, (0.9, 0.9)))
    said = told(coarse, learning_rates={"adam": GRID})["Tuning"]
    assert "over 5 learning rates, 2 per decade." in said
    assert "All had the same tuning budget: 4 runs and 80 gradient evaluations each." in said
    assert "beyond" not in said
    assert "5 per decade" not in said
    fine = [*coarse, run(0.2, 0, 0.9, round="extension"), run(0.05, 0, 0.9, round="fine")]
    said = told(fine, learning_rates={"adam": GRID}, refined=5)["Tuning"]
    assert "first over 5 learning rates" in said
    assert "rates beyond it followed, for 1 of 1 optimizer." in said
    assert "around the best at 5 per decade." in said


@pytest.mark.parametrize("given", [(0.1,), (0.1, 0.5, 0.7), (0.1, 0.1)])
def test_rates_without_an_even_grid_have_no_density(given: tuple[float, ...]) -> None:
    said = told(rates({0.1: (0.9, 0.9)}), learning_rates={"adam": given})["Tuning"]
    assert "per decade" not in said


def test_optimizers_without_a_rate_do_not_count() -> None:
    runs = rates({0.1: (0.9, 0.9)})
    mixed = told(runs, contenders=("adam", "fixed"), learning_rates={"adam": GRID, "fixed": ()})
    assert "over 5 learning rates, 2 per decade" in mixed["Tuning"]
    assert "over no learning rate, for none has one." in told(runs, learning_rates={"adam": ()})["Tuning"]


def test_a_search_is_told() -> None:
    runs = [replace(r, round="search") for r in rates({0.1: (0.9, 0.9), 0.2: (0.8, 0.8)})]
    said = told(runs)
    assert "Optuna’s tree-structured Parzen estimator, in up to 2 configurations." in said["Tuning"]
    assert "mostly the best trial" in said["Choice"]


def test_the_choice_is_the_rate_nearest_to_the_middle() -> None:
    assert (
        "the one nearest their centre (log scale) is chosen; ties go to the lower."
        in told(rates({0.1: (0.9, 0.9)}))["Choice"]
    )


@pytest.mark.parametrize(
    ("tuning", "fresh", "bootstrap", "student"),
    [
        (3, FEWEST, True, True),
        (FEWEST, FEWEST, True, False),
        (2, FEWEST - 1, False, True),
        (1, FEWEST, True, False),
        (1, 0, False, False),
    ],
)
def test_intervals_by_how_many_seeds_there_are(tuning: int, fresh: int, bootstrap: bool, student: bool) -> None:
    seeds = {"tuning_seeds": tuple(range(tuning)), "confirmation_seeds": tuple(range(1000, 1000 + fresh))}
    said = told(rates({0.1: (0.9, 0.9)}), **seeds)["Intervals"]
    assert ("percentile bootstrap" in said) == bootstrap
    assert ("Student’s t" in said) == student
    assert ("One seed has" in said) == (tuning == 1)


def test_ties_are_by_the_rule() -> None:
    runs = [*rates({0.1: (0.9, 0.9)}), *finals((0.9, 0.9), 0.1)]
    assert ties.RULE in told(runs)["Separated"]
    assert "run more seeds" in told(runs, confirmation_seeds=(1000,))["Separated"]


def test_steps_are_counted_at_measurements() -> None:
    record, runs = known()
    said = dict(measured(record, leaderboard(record, runs), runs))
    assert "taken once per epoch, whose validation accuracy reaches 85%" in said["Steps to target"]
    assert "Steps to target" not in told(runs)
    rare = replace(record, evaluate_every=7)
    said = dict(measured(rare, leaderboard(record, runs), runs))
    assert "taken once every 7 steps, whose" in said["Steps to target"]


def test_other_failures_are_pointed_to() -> None:
    runs = [*rates({0.1: (0.9, 0.9)}), run(1.0, 0, 0.5, failure="no memory"), run(1.0, 1, None)]
    assert "1 of 4 runs did: 1 of the first kind, 0 of the second. 1 failed for another" in told(runs)["Diverged"]
