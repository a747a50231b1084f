"""The plateau rule, on points whose answer is known by hand."""

import math
from typing import Any

import pytest
from handwritten import run, tuning

from thalweg.analysis.selection import choose, line_of, points

LINE = {1e-4: [0.5] * 3, 1e-3: [0.94, 0.95, 0.96], 1e-2: [0.945, 0.95, 0.955], 1e-1: [0.945, 0.95, 0.962], 1.0: [0.2] * 3}  # fmt: skip  # noqa: E501


def chosen(by_rate: Any, **options: Any) -> Any:
    return choose(points(tuning(by_rate)), **({"higher_is_better": True} | options))


def test_the_middle_of_the_plateau_is_chosen_not_the_luckiest_rate() -> None:
    choice = chosen(LINE)
    assert choice.plateau == (1e-3, 1e-1)
    assert choice.point.learning_rate == 1e-2
    assert choice.edge is None


def test_of_two_middles_the_lower() -> None:
    choice = chosen({1e-3: [0.5] * 3, 1e-2: [0.94, 0.95, 0.96], 1e-1: [0.94, 0.95, 0.96], 1.0: [0.2] * 3})
    assert choice.plateau == (1e-2, 1e-1)
    assert choice.point.learning_rate == 1e-2


def test_the_middle_is_measured_in_log_rate_where_rates_are_uneven() -> None:
    """Plateau 1e-3 … 1e-1: the middle is 1e-2. By position the choice would be 0.04, by arithmetic mean 0.0631."""
    good = [0.94, 0.95, 0.96]
    choice = chosen({1e-4: [0.1] * 3, 1e-3: good, 9e-3: good, 0.04: good, 0.0631: good, 0.1: good, 1.0: [0.1] * 3})
    assert choice.plateau == (1e-3, 0.1)
    assert choice.point.learning_rate == 9e-3


def test_two_rates_at_equal_distance_from_the_middle_give_the_lower_whatever_the_last_digit() -> None:
    """1e-3·10^(2/5) and 1e-3·10^(3/5) both lie a tenth of a decade from the middle."""
    good = [0.94, 0.95, 0.96]
    rates = [float(f"{1e-3 * 10 ** (i / 5):.12g}") for i in range(6)]
    choice = chosen({1e-5: [0.1] * 3, **dict.fromkeys(rates, good), 1.0: [0.1] * 3})
    assert choice.point.learning_rate == rates[2]


def test_a_plateau_has_no_gaps() -> None:
    """A rate as good as the best beyond a bad one does not count."""
    choice = chosen({1e-4: [0.949, 0.95, 0.951], 1e-3: [0.6] * 3, 1e-2: [0.94, 0.951, 0.962], 1e-1: [0.1] * 3})
    assert choice.plateau == (1e-2, 1e-2)


def test_a_rate_with_a_diverged_seed_is_never_chosen() -> None:
    choice = chosen({1e-2: [0.8, 0.8, 0.8], 1e-1: [0.99, 0.99, None]})
    assert choice.point.learning_rate == 1e-2
    assert choice.plateau == (1e-2, 1e-2)


def test_a_run_that_failed_for_another_reason_counts_as_failed() -> None:
    runs = tuning({1e-2: [0.8] * 3}) + tuning({1e-1: [0.99] * 3}, failure="RuntimeError: no gradient")
    tried = points(runs)
    assert [p.failed for p in tried] == [0, 3]
    assert math.isnan(tried[1].metric.mean)
    choice = choose(tried, higher_is_better=True)
    assert choice is not None
    assert choice.point.learning_rate == 1e-2


@pytest.mark.parametrize(
    ("order", "edge"), [((0.9, 0.5, 0.4), "lowest"), ((0.4, 0.5, 0.9), "highest"), ((0.4, 0.9, 0.5), None)]
)
def test_an_edge_is_told(order: tuple[float, ...], edge: str | None) -> None:
    by_rate = {10.0**-i: [m] * 3 for i, m in zip((3, 2, 1), order, strict=True)}
    assert chosen(by_rate).edge == edge


def test_lower_is_better() -> None:
    choice = chosen({1e-3: [0.5] * 3, 1e-2: [0.1] * 3, 1e-1: [0.9] * 3}, higher_is_better=False)
    assert choice.point.learning_rate == 1e-2


def test_nothing_to_choose_where_all_diverged() -> None:
    assert chosen({1e-3: [None] * 3, 1e-2: [None, 0.9, 0.9]}) is None


def test_a_single_rate_is_its_own_plateau() -> None:
    choice = chosen({1e-3: [0.5, 0.6, 0.7]})
    assert (choice.point.learning_rate, choice.plateau, choice.edge) == (1e-3, None, None)


def test_other_hyperparameters_are_lines_of_their_own() -> None:
    """The plateau runs along the learning rate only, at the best of the other hyperparameters."""
    runs = [
        run(lr, s, metric, hyperparameters={"lr": lr, "eps": eps})
        for eps, by_rate in {1e-8: {1e-3: 0.90, 1e-2: 0.5}, 1e-2: {1e-3: 0.2, 1e-2: 0.95}}.items()
        for lr, metric in by_rate.items()
        for s in range(2)
    ]
    choice = choose(points(runs), higher_is_better=True)
    assert choice is not None
    assert choice.point.hyperparameters == {"lr": 1e-2, "eps": 1e-2}
    assert choice.plateau == (1e-2, 1e-2)


def test_a_line_runs_along_the_rate_whatever_its_name() -> None:
    given = [{"step_size": lr, "beta": beta} for lr in (0.1, 0.2) for beta in (0, 1)]
    tried = points([run(0.1, 0, 0.9, hyperparameters=values, rate="step_size") for values in given])
    assert [p.hyperparameters for p in line_of(tried, tried[0])] == [
        {"step_size": 0.1, "beta": 0},
        {"step_size": 0.2, "beta": 0},
    ]


def test_a_random_search_chooses_its_best_and_has_no_plateau() -> None:
    drawn = {0.00123: (0.1, 0.7), 0.0456: (0.02, 0.9), 0.7: (0.3, None)}
    runs = [
        run(lr, s, metric, hyperparameters={"lr": lr, "weight_decay": decay}, round="search")
        for lr, (decay, metric) in drawn.items()
        for s in range(2)
    ]
    choice = choose(points(runs), higher_is_better=True)
    assert choice is not None
    assert (choice.point.learning_rate, choice.plateau, choice.edge) == (0.0456, None, None)


@pytest.mark.parametrize("stated", ["eta", "beta"])
def test_the_rate_is_the_hyperparameter_that_the_record_names(stated: str) -> None:
    """Both have the same values everywhere."""
    runs = [run(lr, 0, 0.9, hyperparameters={"eta": lr, "beta": lr}, rate=stated) for lr in (0.1, 0.2)]
    assert [(p.rate, p.learning_rate, len(p.others)) for p in points(runs)] == [(stated, 0.1, 1), (stated, 0.2, 1)]


def test_without_a_learning_rate_there_is_no_name() -> None:
    runs = [run(0.1, s, 0.9, hyperparameters={"lr": 3.0}, rate=None) for s in range(2)]
    assert [(p.rate, p.learning_rate, p.others) for p in points(runs)] == [(None, None, {"lr": 3.0})]
